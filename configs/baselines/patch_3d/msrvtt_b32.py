# CLIP4Clip's patches over three frames, before meanP. The patches learn, all three slices with
# CLIP's rate; with patches of one frame they do not.
_base_ = '../clip_mean/msrvtt_b32.py'

model = dict(backbone=dict(type='mmstan.TubePatches'))

before = r'(class_embedding|positional_embedding|ln_pre|token_embedding)'
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=rf'(backbone\.tower\.visual|text_tower\.text)\.(?!{before})'),
            dict(match=rf'(backbone\.tower\.visual|text_tower\.text)\.{before}', frozen=True),
            dict(match=r'backbone\.(before|after)\.'),
            dict(match=r'head\.logit_scale'),
        ]
    ),
)
