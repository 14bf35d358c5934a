# STAN-conv (STAN Eq. 9).
_base_ = './didemo_b32.py'

model = dict(backbone=dict(cross_frame=dict(type='mmstan.TemporalConv')))
