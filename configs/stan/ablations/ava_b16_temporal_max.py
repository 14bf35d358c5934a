# The maximum over the frames in place of their mean (MMAction2's SlowFast R50: 25.90 to 26.41 mAP).
_base_ = '../ava_b16.py'

model = dict(roi_head=dict(temporal_pool='max'))
