_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/models/clip_mean_b16.py',
    '../../_base_/datasets/kinetics400.py',
    '../../_base_/schedules/recognition.py',
]

model = dict(cls_head=dict(class_names=_base_.class_names))
optim_wrapper = dict(paramwise_cfg=dict(rules=[dict(match=r'backbone\.tower\.')]))
