# L/14: a layer of the decoder for each of its 24 blocks. No recipe was released.
_base_ = './ssv2_b16.py'

model = dict(
    backbone=dict(layers=24, tower=dict(model='ViT-L-14')),
    cls_head=dict(in_channels=1024),
)
