# The same for long videos with a paragraph each: the global batch is 64.
_base_ = './retrieval.py'

optim_wrapper = dict(optimizer=dict(weight_decay=0.01))
train_cfg = dict(max_epochs=20)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, end=4, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=4, T_max=16, end=20, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=64)
