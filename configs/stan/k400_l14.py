_base_ = './k400_b16.py'

model = dict(
    backbone=dict(tower=dict(model='ViT-L-14'), levels=(21, 22, 23, 24)),
    cls_head=dict(text_tower=dict(model='ViT-L-14')),
)
