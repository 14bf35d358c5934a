# 8 frames for the tower, 16 for the temporal encoder ("8+16f"), gamma 2.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/dist_b16.py',
    '../_base_/datasets/ssv2_dist.py',
    '../_base_/schedules/dist.py',
]

model = dict(
    data_preprocessor=dict(blending=_base_.blending),
    backbone=dict(pooling_layers=2),  # as released, and 4 for Kinetics
    cls_head=dict(class_names=_base_.class_names),
)
