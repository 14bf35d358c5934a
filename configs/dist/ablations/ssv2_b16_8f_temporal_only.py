# DiST, Table 1a: temporal encoder without integration branch.
_base_ = '../ssv2_b16_8f.py'

model = dict(
    backbone=dict(
        integration=False,
        integration_to_temporal=None,
        temporal_to_integration=None,
    )
)
