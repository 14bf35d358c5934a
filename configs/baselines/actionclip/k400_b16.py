# ActionCLIP's best: six random blocks over the frames, then their mean; its rates and decay.
# Departures: a video is classified by the names of the classes, which a frozen text tower gives
# (cross entropy, one way); ActionCLIP trains the tower too, with 16 templates, in both directions.
_base_ = '../clip_mean/k400_b16.py'

model = dict(
    neck=dict(_delete_=True, type='mmstan.SequenceTransformer', width=512, heads=8, layers=6),
    cls_head=dict(interaction=dict(type='mmstan.Cosine', frames='raw')),
)
optim_wrapper = dict(
    optimizer=dict(lr=5e-6, weight_decay=0.2),
    paramwise_cfg=dict(
        rules=[*_base_.optim_wrapper.paramwise_cfg.rules, dict(match=r'neck\.', lr_mult=10)]
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=5, T_max=45, end=50, convert_to_iter_based=True),
]
