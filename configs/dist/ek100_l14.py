_base_ = './ek100_b16.py'

text_tower = dict(model='ViT-L-14')
model = dict(
    backbone=dict(tower=dict(model='ViT-L-14')),
    cls_head=dict(verb=dict(text_tower=text_tower), noun=dict(text_tower=text_tower)),
)
