# X-CLIP, Table 10: an image tower that has learned from ImageNet-1k (DeiT's), as
# k400_b16_imagenet_21k.py.
_base_ = './k400_b16_imagenet_21k.py'

model = dict(
    backbone=dict(
        tower=dict(
            vit=dict(
                init_cfg=dict(
                    checkpoint='https://download.openmmlab.com/mmclassification/v0/deit/'
                    'deit-base_pt-16xb64_in1k_20220216-db63c16c.pth'
                )
            )
        )
    )
)
