# DiST, Table 1c: joint space-time transformer as the temporal block.
_base_ = '../ssv2_b16_8f.py'

model = dict(backbone=dict(temporal_block='joint'))
