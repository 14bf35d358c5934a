# As Mug-STAN prints it, without Mug; nothing was released for this tower and data.
_base_ = [
    '../_base_/retrieval_runtime.py',
    '../_base_/models/stan_retrieval_l14.py',
    '../_base_/datasets/lsmdc.py',
    '../_base_/schedules/retrieval_paper.py',
]
