# Frame features, averaged: what CLIP knows of a video without seeing its frames' order.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/clip_images.py',
    '../_base_/datasets/moving_shapes.py',
    '../_base_/schedules/moving_shapes.py',
]

tower = dict(
    embed_dim=64,
    vision_cfg=dict(image_size=32, layers=4, width=64, patch_size=8, head_width=16),
)
text_tower = dict(
    embed_dim=64,
    text_cfg=dict(context_length=16, width=64, heads=4, layers=3),
)
model = dict(
    type='Recognizer3D',
    backbone=dict(type='mmstan.FrameEncoder', tower=dict(type='mmstan.ImageTower', model=tower)),
    neck=dict(type='mmstan.MeanPool'),
    cls_head=dict(
        type='mmstan.TextHead',
        class_names=_base_.class_names,
        # Random and frozen, it gives each class a fixed place in the joint space.
        text_tower=dict(type='mmstan.TextTower', model=text_tower, frozen=True),
        logit_scale=60.0,
    ),
)
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(max_keep_ckpts=2, save_best=None))
randomness = dict(seed=0)
