_base_ = './msrvtt_b32.py'

model = dict(
    backbone=dict(tower=dict(model='ViT-L-14'), levels=(21, 22, 23, 24)),
    text_tower=dict(model='ViT-L-14'),
)
