# STAN, Table 6: cross-frame + branch + multi-level.
_base_ = '../k400_b16.py'

model = dict(backbone=dict(intra_frame='none'))
