# X-CLIP, Table 10: an image tower that has learned from ImageNet-21k, and CLIP's text tower; a
# linear layer, which is new, takes the tower into their joint space. One view.
_base_ = ['./k400_b16_one_view.py', '../../_base_/models/imagenet_vit_b16.py']

model = dict(backbone=dict(tower=dict(_base_.imagenet_vit, joint_dim=512, _delete_=True)))
new = r'(backbone\.(messages|context|tower\.projection)|neck|cls_head\.prompting)\.'
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.visual\.'),
            dict(match=new, lr_mult=10),
        ]
    )
)
