# 32 clips at a time, whatever the batch; the gradient is that of the whole batch.
_base_ = './stan_pretraining_b32.py'

model = dict(
    backbone=dict(tower=dict(model='ViT-B-16')),
    text_tower=dict(model='ViT-B-16'),
    micro_batch=32,
)
