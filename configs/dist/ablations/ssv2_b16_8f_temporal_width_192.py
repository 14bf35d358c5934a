# DiST, width of the temporal encoder: 192 instead of 96.
_base_ = '../ssv2_b16_8f.py'

model = dict(backbone=dict(temporal_width=192))
