# CLIP4Clip's tightTransf between the frames and each class name: STAN's recipe. A clip passes
# through the blocks as often as there are classes, which costs about as much as the tower.
_base_ = '../clip_mean/k400_b16.py'

model = dict(
    neck=None,
    cls_head=dict(
        interaction=dict(
            type='mmstan.TightTransformer',
            width=512,
            heads=8,
            init_from=dict(model='ViT-B-16', pretrained='openai'),
        ),
        logit_scale=1.0,
    ),
)
# The blocks learn ten times faster.
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            *_base_.optim_wrapper.paramwise_cfg.rules,
            dict(match=r'cls_head\.interaction\.', lr_mult=10),
        ]
    )
)
