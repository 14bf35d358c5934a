# STAN-conv (STAN Eq. 9).
_base_ = './k400_b16.py'

model = dict(backbone=dict(cross_frame=dict(type='mmstan.TemporalConv')))
