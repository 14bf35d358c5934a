# X-CLIP, Table 8: a linear layer in the place of the class names; one view.
_base_ = './k400_b16_one_view.py'

model = dict(
    backbone=dict(context=False),
    cls_head=dict(
        _delete_=True,
        type='TimeSformerHead',  # MMAction2's linear layer on (N, D)
        num_classes=_base_.num_classes,
        in_channels=512,
        label_smooth_eps=0.1,
        average_clips='prob',
    ),
)
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.'),
            dict(match=r'(backbone\.messages|neck|cls_head)\.', lr_mult=10),
        ]
    )
)
