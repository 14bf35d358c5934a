# STAN-conv (STAN Eq. 9), with the rates that STAN prints.
_base_ = './ssv2_b16_paper.py'

model = dict(backbone=dict(cross_frame=dict(type='mmstan.TemporalConv')))
