# CLIP4Clip's recipe, with the departures that baselines/clip_mean/msrvtt_b32.py names.
_base_ = './retrieval.py'

# What comes before the blocks stays as it is, 81.65 % of the parameters learn.
before = r'(class_embedding|positional_embedding|conv1|ln_pre|token_embedding)'
optim_wrapper = dict(
    optimizer=dict(lr=1e-5, eps=1e-6, weight_decay=0.2),
    paramwise_cfg=dict(
        rules=[
            dict(match=rf'(backbone\.tower\.visual|text_tower\.text)\.(?!{before})'),
            dict(match=rf'(backbone\.tower\.visual|text_tower\.text)\.{before}', frozen=True),
            dict(match=r'head\.logit_scale'),
        ]
    ),
    clip_grad=dict(max_norm=1),
)
train_cfg = dict(max_epochs=5)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=0.5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=0.5, T_max=4.5, end=5, convert_to_iter_based=True),
]
