# X-CLIP, Table 10: an image tower that has learned from ImageNet-21k, and a linear layer.
_base_ = './k400_b16_linear.py'

model = dict(
    backbone=dict(
        tower=dict(
            _delete_=True,
            type='mmstan.MMPretrainImageTower',
            vit=dict(
                arch='b',
                img_size=224,
                patch_size=16,
                init_cfg=dict(
                    type='Pretrained',
                    checkpoint='https://download.openmmlab.com/mmclassification/v0/vit/pretrain/'
                    'vit-base-p16_3rdparty_pt-64xb64_in1k-224_20210928-02284250.pth',
                    prefix='backbone.',
                ),
            ),
        )
    ),
    neck=dict(width=768, heads=12),
    cls_head=dict(in_channels=768),
)
test_dataloader = dict(batch_size=2, dataset=dict(pipeline=_base_.test_pipeline))  # 4 x 3 views
