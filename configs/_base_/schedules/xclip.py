# X-CLIP's recipe: AdamW, 5 epochs of warm-up, cosine to a hundredth; the global batch is 256, on 8
# GPUs 8 clips x 4 accumulated steps. The cosine begins where the warm-up ends, and no step has rate
# 0 (as released the rate drops by 7 % after the warm-up, and the first steps stand still).
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmstan.ParamGroups',
    optimizer=dict(
        type='AdamW', lr=8e-6, betas=(0.9, 0.98), eps=1e-8, weight_decay=1e-3, fused=True
    ),
    # What is new learns ten times faster; the text tower and the logit scale stay as they are.
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.'),
            dict(
                match=r'(backbone\.messages|backbone\.context|neck|cls_head\.prompting)\.',
                lr_mult=10,
            ),
        ]
    ),
    accumulative_counts=4,
)
train_cfg = dict(type='mmstan.EpochTrainLoop', max_epochs=30, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=5, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=5,
        T_max=25,
        end=30,
        eta_min=8e-8,  # of what is new as well
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(enable=False, base_batch_size=256)
