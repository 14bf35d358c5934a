# DiST: the tower, on each second frame, stays as it is; the temporal encoder sees all of them. Here
# the tower is as random as at the start: what is learnt comes from what is beside it.
_base_ = './clip_mean.py'

model = dict(
    backbone=dict(
        type='mmstan.DiST',
        tower=dict(frozen=True),
        gamma=2,
        num_frames=4,
        width=64,
        temporal_width=32,
    ),
    neck=None,
)
