_base_ = './didemo_b32.py'

model = dict(
    backbone=dict(tower=dict(model='ViT-B-16')),
    text_tower=dict(model='ViT-B-16'),
)
