# DiST, Table 1a: neither temporal encoder nor integration branch: the frames' mean, and a linear
# map to the joint space.
_base_ = '../ssv2_b16_8f.py'

model = dict(
    backbone=dict(
        temporal_block=None,
        integration=False,
        integration_to_temporal=None,
        temporal_to_integration=None,
    )
)
