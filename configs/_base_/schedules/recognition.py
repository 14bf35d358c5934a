# The recipe for Kinetics and Something-Something: AdamW, cosine, the global batch is 128. The rate
# of 8e-6 is Mug-STAN's; STAN's paper prints 2e-6 (recognition_stan_paper.py).
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmstan.ParamGroups',
    optimizer=dict(
        type='AdamW', lr=8e-6, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.02, fused=True
    ),
    # The branch learns ten times faster; norms, biases and embeddings do not decay.
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.'),
            dict(match=r'backbone\.branches\.', lr_mult=10),
        ]
    ),
    clip_grad=dict(max_norm=5, norm_type=2),
)
train_cfg = dict(type='mmstan.EpochTrainLoop', max_epochs=50, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=2.5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=2.5, T_max=47.5, end=50, convert_to_iter_based=True),
]
auto_scale_lr = dict(enable=False, base_batch_size=128)
