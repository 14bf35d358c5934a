_base_ = './ssv2_b16_8f.py'

model = dict(
    backbone=dict(tower=dict(model='ViT-L-14')), cls_head=dict(text_tower=dict(model='ViT-L-14'))
)
