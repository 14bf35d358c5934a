# Captions find their videos among 320: STAN, the mean of its frames, all from scratch.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/clip_images.py',
    '../_base_/datasets/moving_shapes_retrieval.py',
    '../_base_/schedules/moving_shapes_retrieval.py',
]

tower = dict(
    embed_dim=64,
    vision_cfg=dict(image_size=32, layers=4, width=64, patch_size=8, head_width=16),
)
text_tower = dict(embed_dim=64, text_cfg=dict(context_length=32, width=64, heads=4, layers=2))
model = dict(
    type='mmstan.VideoTextModel',
    backbone=dict(
        type='mmstan.STAN', tower=dict(type='mmstan.ImageTower', model=tower), levels=(2, 3, 4)
    ),
    text_tower=dict(type='mmstan.TextTower', model=text_tower),
    head=dict(
        type='mmstan.RetrievalHead',
        interaction=dict(type='mmstan.Cosine', frames='raw'),
        scale=20.0,
    ),
    text_length=24,
)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(max_keep_ckpts=2, save_best=None))
randomness = dict(seed=0)
