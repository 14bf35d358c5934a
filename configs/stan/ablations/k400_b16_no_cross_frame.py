# STAN, Table 6: intra-frame + branch + multi-level.
_base_ = '../k400_b16.py'

model = dict(backbone=dict(cross_frame=None))
