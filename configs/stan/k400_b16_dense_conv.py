# The dense convolution of an early revision of the released code.
_base_ = './k400_b16.py'

model = dict(backbone=dict(cross_frame=dict(type='mmstan.DenseTemporalConv')))
