# STAN, Table 6: intra-frame + branch + multi-level.
_base_ = './stan.py'

model = dict(backbone=dict(cross_frame=None))
