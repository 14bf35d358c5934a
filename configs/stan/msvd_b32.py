# MSVD is not in the papers: MSR-VTT's recipe.
_base_ = [
    '../_base_/retrieval_runtime.py',
    '../_base_/models/stan_retrieval_b32.py',
    '../_base_/datasets/msvd.py',
    '../_base_/schedules/retrieval.py',
]
