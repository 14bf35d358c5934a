# Focal loss with MMAction2's numbers, on the maximum over the frames (its SlowFast R50: 26.65 mAP).
_base_ = './ava_b16_temporal_max.py'

model = dict(roi_head=dict(bbox_head=dict(focal_alpha=3.0, focal_gamma=1.0)))
