# X-CLIP, Table 6: + multi-frame integration; Table 9: no prompts; one view.
_base_ = './k400_b16_one_view.py'

model = dict(backbone=dict(context=False), cls_head=dict(type='mmstan.TextHead'))
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.'),
            dict(match=r'(backbone\.messages|neck)\.', lr_mult=10),
        ]
    )
)
