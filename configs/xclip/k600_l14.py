_base_ = './k600_b16.py'

model = dict(
    backbone=dict(tower=dict(model='ViT-L-14')),
    neck=dict(width=768, heads=12),
    cls_head=dict(text_tower=dict(model='ViT-L-14')),
)
train_dataloader = dict(batch_size=4)
test_dataloader = dict(batch_size=1)
optim_wrapper = dict(accumulative_counts=8)
