_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/xclip_b16.py',
    '../_base_/datasets/kinetics400_xclip.py',
    '../_base_/schedules/xclip.py',
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
    cls_head=dict(class_names=_base_.class_names),
)
# What is new learns ten times faster; the text tower and the logit scale stay as they are.
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.'),
            dict(
                match=r'(backbone\.messages|backbone\.context|neck|cls_head\.prompting)\.',
                lr_mult=10,
            ),
        ]
    )
)
