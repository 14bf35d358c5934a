# As k400_b16.py, with another tower.
_base_ = './k400_b16.py'

load_from = 'work_dirs/mug_stan/zero_shot/l14.pth'
model = dict(
    backbone=dict(tower=dict(model='ViT-L-14'), levels=(21, 22, 23, 24)),
    cls_head=dict(text_tower=dict(model='ViT-L-14')),
)
