_base_ = [
    '../../_base_/engines/fully_shard.py',
    '../../_base_/models/stan_pretraining_bigg14.py',
    '../../_base_/datasets/howto100m.py',
    '../../_base_/schedules/post_pretraining.py',
]
