# CLIP4Clip's tightTransf: every pair of a caption and a video passes through four of CLIP's text
# blocks. Its score is no cosine: no scale.
_base_ = '../clip_mean/msrvtt_b32.py'

model = dict(
    head=dict(
        interaction=dict(
            _delete_=True,
            type='mmstan.TightTransformer',
            width=512,
            heads=8,
            init_from=dict(model='ViT-B-32', pretrained='openai'),
        ),
        scale=1.0,
        trainable_scale=False,
        max_scale=None,
    )
)
# What is new learns with CLIP4Clip's 1e-4.
towers = [rule for rule in _base_.optim_wrapper.paramwise_cfg.rules if 'head' not in rule.match]
optim_wrapper = dict(
    paramwise_cfg=dict(rules=[*towers, dict(match=r'head\.interaction\.', lr_mult=10)])
)
