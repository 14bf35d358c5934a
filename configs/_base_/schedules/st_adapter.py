# ST-Adapter's recipe: AdamW on the adapters and the head, 12 epochs of which 2 warm up, the global
# batch is 256. Departures: norms, biases and embeddings do not decay.
find_unused_parameters = True  # distributed training waits for frozen parameters otherwise
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmstan.ParamGroups',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-2, fused=True),
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.adapters\.mlp\.(?!11\.)|cls_head\.'),
            # Nothing reads the patches behind the last adapter.
            dict(match=r'backbone\.adapters\.mlp\.11\.', frozen=True),
        ]
    ),
)
train_cfg = dict(type='mmstan.EpochTrainLoop', max_epochs=12, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=2, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=2, T_max=10, end=12, convert_to_iter_based=True),
]
auto_scale_lr = dict(enable=False, base_batch_size=256)
