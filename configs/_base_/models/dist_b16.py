# DiST: the frozen tower on 8 of 16 frames, the temporal encoder on all, the branch on both.
_base_ = './clip_mean_b16.py'

model = dict(
    backbone=dict(
        type='mmstan.DiST', tower=dict(frozen=True), gamma=2, num_frames=8, pooling_layers=4
    ),
    neck=None,
    cls_head=dict(label_smooth_eps=0.1),
)
