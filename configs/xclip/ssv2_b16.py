# X-CLIP on Something-Something v2 with its recipe of Kinetics, 1 clip x 3 crops: a row of STAN's
# Table 5, whose authors trained it themselves and give no recipe.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/xclip_b16.py',
    '../_base_/datasets/ssv2_xclip.py',
    '../_base_/schedules/xclip.py',
]

model = dict(
    data_preprocessor=dict(blending=_base_.blending),
    cls_head=dict(class_names=_base_.class_names),
)
