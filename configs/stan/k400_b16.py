_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/stan_b16.py',
    '../_base_/datasets/kinetics400.py',
    '../_base_/schedules/recognition.py',
]

model = dict(cls_head=dict(class_names=_base_.class_names))
