# 16 clips at a time; within them, blocks are recomputed in the backward pass.
_base_ = './stan_pretraining_b32.py'

model = dict(
    backbone=dict(tower=dict(model='ViT-L-14'), levels=(21, 22, 23, 24), checkpointing=True),
    text_tower=dict(model='ViT-L-14', checkpointing=True),
    micro_batch=16,
)
