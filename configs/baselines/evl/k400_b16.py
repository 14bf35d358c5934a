# EVL, a decoder of 4 layers beside a frozen tower, with its own recipe: AdamW, 50,000 steps of 256
# clips (53 epochs), a cosine without warm-up. Departures: no RandAugment; norms, biases and
# embeddings do not decay.
_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/models/clip_linear_b16.py',
    '../../_base_/datasets/kinetics400_dense.py',
]

model = dict(backbone=dict(type='mmstan.EVL', layers=4, num_frames=8))

train_dataloader = dict(batch_size=32)
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmstan.ParamGroups',
    optimizer=dict(type='AdamW', lr=4e-4, weight_decay=0.05),
    paramwise_cfg=dict(rules=[dict(match=r'backbone\.(?!tower\.)|cls_head\.')]),
)
train_cfg = dict(type='mmstan.EpochTrainLoop', max_epochs=53, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=53, end=53, convert_to_iter_based=True),
]
auto_scale_lr = dict(enable=False, base_batch_size=256)
