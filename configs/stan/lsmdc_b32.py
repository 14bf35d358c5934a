_base_ = [
    '../_base_/retrieval_runtime.py',
    '../_base_/models/stan_retrieval_b32.py',
    '../_base_/datasets/lsmdc.py',
    '../_base_/schedules/retrieval.py',
]

optim_wrapper = dict(optimizer=dict(lr=1e-6, weight_decay=0.2))
