# STAN-conv (STAN Eq. 9), trained as STAN prints it.
_base_ = './lsmdc_b32_paper.py'

model = dict(backbone=dict(cross_frame=dict(type='mmstan.TemporalConv')))
