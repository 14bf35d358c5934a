# Actions of several shapes at a key frame: frame features, averaged, from scratch.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/clip_images.py',
    '../_base_/datasets/moving_shapes_detection.py',
    '../_base_/schedules/moving_shapes.py',
]

tower = dict(
    embed_dim=64,
    vision_cfg=dict(image_size=48, layers=4, width=64, patch_size=8, head_width=16),
)
model = dict(
    type='mmstan.ActionDetector',
    backbone=dict(type='mmstan.FrameEncoder', tower=dict(type='mmstan.ImageTower', model=tower)),
    roi_head=dict(
        type='mmstan.ActionRoIHead', bbox_head=dict(type='mmstan.ActionHead', num_classes=13)
    ),
)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(max_keep_ckpts=2, save_best=None))
randomness = dict(seed=0)
