# Trained on 7k videos.
_base_ = [
    '../_base_/retrieval_runtime.py',
    '../_base_/models/stan_retrieval_b32.py',
    '../_base_/datasets/msrvtt_7k.py',
    '../_base_/schedules/retrieval.py',
]
