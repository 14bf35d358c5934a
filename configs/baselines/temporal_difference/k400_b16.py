# CLIP2Video's temporal difference block, for recognition as in STAN's Table 7: STAN's recipe.
_base_ = '../clip_mean/k400_b16.py'

model = dict(
    neck=dict(
        _delete_=True,
        type='mmstan.TemporalDifference',
        width=512,
        heads=8,
        init_from=dict(model='ViT-B-16', pretrained='openai'),
    ),
    cls_head=dict(interaction=dict(type='mmstan.Cosine')),
)
# The neck learns ten times faster.
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[*_base_.optim_wrapper.paramwise_cfg.rules, dict(match=r'neck\.', lr_mult=10)]
    )
)
