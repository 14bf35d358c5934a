# The rates that STAN prints; ssv2_b16.py has Mug-STAN's.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/stan_b16.py',
    '../_base_/datasets/ssv2.py',
    '../_base_/schedules/recognition_stan_paper.py',
]

model = dict(
    backbone=dict(levels=(7, 8, 9, 10, 11, 12)),  # K = 6
    cls_head=dict(class_names=_base_.class_names),
)
