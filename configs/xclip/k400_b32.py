_base_ = './k400_b16.py'

model = dict(
    backbone=dict(tower=dict(model='ViT-B-32')),
    cls_head=dict(text_tower=dict(model='ViT-B-32')),
)
