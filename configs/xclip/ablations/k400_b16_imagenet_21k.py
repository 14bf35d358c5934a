# X-CLIP, Table 10: an image tower that has learned from ImageNet-21k, and a linear layer.
_base_ = ['./k400_b16_linear.py', '../../_base_/models/imagenet_vit_b16.py']

model = dict(
    backbone=dict(tower=dict(_base_.imagenet_vit, _delete_=True)),
    neck=dict(width=768, heads=12),
    cls_head=dict(in_channels=768),
)
test_dataloader = dict(batch_size=2, dataset=dict(pipeline=_base_.test_pipeline))  # 4 x 3 views
