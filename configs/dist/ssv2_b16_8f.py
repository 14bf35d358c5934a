# 8 frames for the tower, 16 for the temporal encoder ("8+16f"), gamma 2.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/dist_b16.py',
    '../_base_/datasets/ssv2_dist.py',
    '../_base_/schedules/dist.py',
]

model = dict(
    data_preprocessor=dict(
        blending=dict(  # one of the two for each batch
            type='RandomBatchAugment',
            augments=[
                dict(type='MixupBlending', alpha=0.8, num_classes=_base_.num_classes),
                dict(type='CutmixBlending', alpha=1.0, num_classes=_base_.num_classes),
            ],
        )
    ),
    backbone=dict(pooling_layers=2),  # as released, and 4 for Kinetics
    cls_head=dict(class_names=_base_.class_names),
)
