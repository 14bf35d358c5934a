_base_ = [
    '../../_base_/pretraining_runtime.py',
    '../../_base_/models/stan_pretraining_l14.py',
    '../../_base_/datasets/howto100m.py',
    '../../_base_/schedules/post_pretraining.py',
]
