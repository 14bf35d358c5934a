_base_ = './k400_b16_16f.py'

model = dict(
    backbone=dict(tower=dict(model='ViT-L-14')), cls_head=dict(text_tower=dict(model='ViT-L-14'))
)
