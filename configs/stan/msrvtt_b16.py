_base_ = [
    '../_base_/retrieval_runtime.py',
    '../_base_/models/stan_retrieval_b16.py',
    '../_base_/datasets/msrvtt.py',
    '../_base_/schedules/retrieval.py',
]

model = dict(head=dict(scale=50.0))  # temperature 0.02
# Released with another rate and decay, at a global batch of 64.
optim_wrapper = dict(optimizer=dict(lr=1e-6, weight_decay=0.2))
train_dataloader = dict(batch_size=8)
auto_scale_lr = dict(base_batch_size=64)
