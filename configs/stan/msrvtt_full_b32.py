# MSR-VTT's own split.
_base_ = [
    '../_base_/retrieval_runtime.py',
    '../_base_/models/stan_retrieval_b32.py',
    '../_base_/datasets/msrvtt_full.py',
    '../_base_/schedules/retrieval.py',
]
