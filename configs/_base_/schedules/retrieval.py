# STAN's recipe for retrieval as released (retrieval_paper.py: as printed): AdamW, the global batch
# is 128. The rate decays once (the released schedules warm up all the time, or swing): 10 %
# warm-up, one cosine.
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmstan.ParamGroups',
    optimizer=dict(
        type='AdamW', lr=2e-6, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.05, fused=True
    ),
    # What is new learns ten times faster; norms, biases and embeddings do not decay.
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.|text_tower\.'),
            dict(match=r'backbone\.branches\.', lr_mult=10, optional=True),
            dict(match=r'head\.interaction\.', lr_mult=10, optional=True),
        ]
    ),
    clip_grad=dict(max_norm=5, norm_type=2),
)
train_cfg = dict(type='mmstan.EpochTrainLoop', max_epochs=10, val_interval=1)
val_cfg = dict(type='mmstan.RetrievalValLoop')
test_cfg = dict(type='mmstan.RetrievalTestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=1, T_max=9, end=10, convert_to_iter_based=True),
]
auto_scale_lr = dict(enable=False, base_batch_size=128)
