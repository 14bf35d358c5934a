_base_ = './k400_b16.py'

model = dict(
    backbone=dict(tower=dict(model='ViT-L-14')),
    cls_head=dict(in_channels=1024),
)
