# ActionCLIP's six random blocks over the frames, in CLIP4Clip's recipe.
_base_ = '../clip_mean/msrvtt_b32.py'

model = dict(
    neck=dict(type='mmstan.SequenceTransformer', width=512, heads=8, layers=6),
    head=dict(interaction=dict(frames='raw')),
)
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[*_base_.optim_wrapper.paramwise_cfg.rules, dict(match=r'neck\.', lr_mult=10)]
    )
)
