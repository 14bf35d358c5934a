# X-CLIP, Table 6: + cross-frame communication; one view.
_base_ = './k400_b16_one_view.py'

model = dict(
    backbone=dict(context=False),
    neck=dict(_delete_=True, type='mmstan.MeanPool'),
    cls_head=dict(type='mmstan.TextHead'),
)
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.'),
            dict(match=r'backbone\.messages\.', lr_mult=10),
        ]
    )
)
