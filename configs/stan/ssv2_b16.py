_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/stan_b16.py',
    '../_base_/datasets/ssv2.py',
    '../_base_/schedules/recognition.py',
]

model = dict(
    backbone=dict(levels=(7, 8, 9, 10, 11, 12)),  # K = 6 on Something-Something (STAN, Fig. 3)
    cls_head=dict(class_names=_base_.class_names),
)
