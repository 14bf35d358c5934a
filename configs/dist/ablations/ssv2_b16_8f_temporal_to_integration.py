# DiST, Table 1b: only the integration branch reads the other.
_base_ = '../ssv2_b16_8f.py'

model = dict(backbone=dict(integration_to_temporal=None))
