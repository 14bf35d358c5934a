# MSVD is not in the papers: MSR-VTT's recipe.
_base_ = [
    '../_base_/retrieval_runtime.py',
    '../_base_/models/stan_retrieval_b16.py',
    '../_base_/datasets/msvd.py',
    '../_base_/schedules/retrieval.py',
]

model = dict(head=dict(scale=50.0))  # temperature 0.02
# As on MSR-VTT.
optim_wrapper = dict(optimizer=dict(lr=1e-6, weight_decay=0.2))
train_dataloader = dict(batch_size=8)
auto_scale_lr = dict(base_batch_size=64)
