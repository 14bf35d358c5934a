# As on MSR-VTT with this tower.
_base_ = './msvd_b32.py'

model = dict(
    backbone=dict(tower=dict(model='ViT-B-16')),
    text_tower=dict(model='ViT-B-16'),
    head=dict(scale=50.0),  # temperature 0.02
)
optim_wrapper = dict(optimizer=dict(lr=1e-6, weight_decay=0.2))
train_dataloader = dict(batch_size=8)
auto_scale_lr = dict(base_batch_size=64)
