# STAN-conv (STAN Eq. 9), trained as STAN prints it.
_base_ = './didemo_b16_paper.py'

model = dict(backbone=dict(cross_frame=dict(type='mmstan.TemporalConv')))
