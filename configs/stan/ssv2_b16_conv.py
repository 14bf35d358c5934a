# STAN-conv (STAN Eq. 9).
_base_ = './ssv2_b16.py'

model = dict(backbone=dict(cross_frame=dict(type='mmstan.TemporalConv')))
