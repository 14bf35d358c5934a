# STAN-conv (STAN Eq. 9).
_base_ = './msrvtt_b32.py'

model = dict(backbone=dict(cross_frame=dict(type='mmstan.TemporalConv')))
