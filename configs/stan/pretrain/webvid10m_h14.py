_base_ = [
    '../../_base_/pretraining_runtime.py',
    '../../_base_/models/stan_pretraining_h14.py',
    '../../_base_/datasets/webvid.py',
    '../../_base_/schedules/post_pretraining.py',
]
