# 64 frames a clip: blocks are recomputed in the backward pass.
_base_ = './activitynet_b32.py'

model = dict(
    backbone=dict(tower=dict(model='ViT-B-16'), checkpointing=True),
    text_tower=dict(model='ViT-B-16'),
)
