_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/xclip_b16.py',
    '../_base_/datasets/kinetics400_xclip.py',
    '../_base_/schedules/xclip.py',
]

model = dict(
    data_preprocessor=dict(blending=_base_.blending),
    cls_head=dict(class_names=_base_.class_names),
)
