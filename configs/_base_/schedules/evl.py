# EVL's recipe: AdamW, 50,000 steps of 256 clips (53 epochs of Kinetics-400), a cosine without
# warm-up. Departure: norms, biases and embeddings do not decay.
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmstan.ParamGroups',
    optimizer=dict(type='AdamW', lr=4e-4, weight_decay=0.05, fused=True),
    paramwise_cfg=dict(rules=[dict(match=r'backbone\.(?!tower\.)|cls_head\.')]),
)
train_cfg = dict(type='mmstan.EpochTrainLoop', max_epochs=53, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=53, end=53, convert_to_iter_based=True),
]
auto_scale_lr = dict(enable=False, base_batch_size=256)
