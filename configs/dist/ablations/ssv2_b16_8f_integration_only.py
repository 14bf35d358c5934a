# DiST, Table 1a: integration branch without temporal encoder.
_base_ = '../ssv2_b16_8f.py'

model = dict(
    backbone=dict(
        temporal_block=None,
        integration_to_temporal=None,
        temporal_to_integration=None,
    )
)
