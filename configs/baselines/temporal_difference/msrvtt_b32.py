# CLIP2Video's temporal difference block alone, without its alignment block, as in STAN's Table 7.
# CLIP4Clip's recipe and its one frame a second; CLIP2Video took two, and released no training code.
_base_ = '../clip_mean/msrvtt_b32.py'

model = dict(
    neck=dict(
        type='mmstan.TemporalDifference',
        width=512,
        heads=8,
        init_from=dict(model='ViT-B-32', pretrained='openai'),
    ),
)
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[*_base_.optim_wrapper.paramwise_cfg.rules, dict(match=r'neck\.', lr_mult=10)]
    )
)
