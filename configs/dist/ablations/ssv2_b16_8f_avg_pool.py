# DiST, Table 2a: average pooling and a linear layer for downsampling.
_base_ = '../ssv2_b16_8f.py'

model = dict(backbone=dict(temporal_to_integration='avg'))
