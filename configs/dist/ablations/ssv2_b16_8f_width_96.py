# DiST, width of the integration branch: 96 instead of 384.
_base_ = '../ssv2_b16_8f.py'

model = dict(backbone=dict(width=96))
