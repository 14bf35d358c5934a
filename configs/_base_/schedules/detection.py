# Mug-STAN's recipe for AVA: AdamW, the global batch is 128, weight decay 0.02. The paper gives no
# number of epochs: 20 with 2 of warm-up and one cosine are ours, as MMAction2's VideoMAE has 20.
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmstan.ParamGroups',
    optimizer=dict(
        type='AdamW', lr=8e-6, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.02, fused=True
    ),
    # What is not CLIP's learns ten times faster. The model freezes what a feature map leaves out.
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.'),
            dict(match=r'backbone\.branches\.', lr_mult=10, optional=True),
            dict(match=r'roi_head\.', lr_mult=10),
        ]
    ),
    clip_grad=dict(max_norm=5, norm_type=2),
)
train_cfg = dict(type='mmstan.EpochTrainLoop', max_epochs=20, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=2, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=2, T_max=18, end=20, convert_to_iter_based=True),
]
auto_scale_lr = dict(enable=False, base_batch_size=128)
