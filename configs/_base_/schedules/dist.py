# DiST's recipe: AdamW on the branch alone, the global batch is 256. The cosine runs over all 36
# epochs while the warm-up rises during the first 6 of them (as released straight to the cosine's
# value there, so that rates in between are up to 7 % lower).
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmstan.ParamGroups',
    optimizer=dict(
        type='AdamW', lr=3.2e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-4, fused=True
    ),
    paramwise_cfg=dict(rules=[dict(match=r'backbone\.branch\.')]),
)
train_cfg = dict(type='mmstan.EpochTrainLoop', max_epochs=36, val_interval=4)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.0025, end=6, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=36, end=36, convert_to_iter_based=True),
]
auto_scale_lr = dict(enable=False, base_batch_size=256)
