# As k400_b16.py, with another tower.
_base_ = './k400_b16.py'

load_from = 'work_dirs/mug_stan/zero_shot/b32.pth'
model = dict(
    backbone=dict(tower=dict(model='ViT-B-32')),
    cls_head=dict(text_tower=dict(model='ViT-B-32')),
)
