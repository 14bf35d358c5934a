# CLIP4Clip's seqTransf: four of CLIP's text blocks over the frames, before meanP.
_base_ = '../clip_mean/msrvtt_b32.py'

model = dict(
    neck=dict(
        type='mmstan.SequenceTransformer',
        width=512,
        heads=8,
        init_from=dict(model='ViT-B-32', pretrained='openai'),
    ),
)
# What is new learns with CLIP4Clip's 1e-4.
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[*_base_.optim_wrapper.paramwise_cfg.rules, dict(match=r'neck\.', lr_mult=10)]
    )
)
