# DiST, Table 1b: only the temporal encoder reads the other.
_base_ = '../ssv2_b16_8f.py'

model = dict(backbone=dict(temporal_to_integration=None))
