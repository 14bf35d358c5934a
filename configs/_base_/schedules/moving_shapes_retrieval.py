# Video-text retrieval from scratch on Moving Shapes, in minutes on two cores.
max_epochs = 8

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmstan.ParamGroups',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.98), weight_decay=0.05),
    paramwise_cfg=dict(rules=[dict(match='')]),
    clip_grad=dict(max_norm=5, norm_type=2),
)
train_cfg = dict(type='mmstan.EpochTrainLoop', max_epochs=max_epochs, val_interval=max_epochs)
val_cfg = dict(type='mmstan.RetrievalValLoop')
test_cfg = dict(type='mmstan.RetrievalTestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=0.8, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=0.8,
        T_max=max_epochs - 0.8,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]
