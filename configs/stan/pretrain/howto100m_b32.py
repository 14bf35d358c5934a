# STAN with the mean of the frames, post-pretrained on HowTo100M (Mug-STAN, Table VI).
_base_ = [
    '../../_base_/pretraining_runtime.py',
    '../../_base_/models/stan_pretraining_b32.py',
    '../../_base_/datasets/howto100m.py',
    '../../_base_/schedules/post_pretraining.py',
]
