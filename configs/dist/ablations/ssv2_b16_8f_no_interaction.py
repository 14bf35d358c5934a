# DiST, Table 1b: neither interaction.
_base_ = '../ssv2_b16_8f.py'

model = dict(backbone=dict(integration_to_temporal=None, temporal_to_integration=None))
