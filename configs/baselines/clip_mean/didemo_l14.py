_base_ = './didemo_b32.py'

model = dict(
    backbone=dict(tower=dict(model='ViT-L-14')),
    text_tower=dict(model='ViT-L-14'),
)
