# The rates that STAN prints; k400_b16.py has Mug-STAN's.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/stan_b16.py',
    '../_base_/datasets/kinetics400.py',
    '../_base_/schedules/recognition_stan_paper.py',
]

model = dict(cls_head=dict(class_names=_base_.class_names))
