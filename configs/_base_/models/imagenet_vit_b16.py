# A vision transformer that has learned from ImageNet, in the place of CLIP's image tower:
#   model = dict(backbone=dict(tower=dict(_base_.imagenet_vit, _delete_=True)))
imagenet_vit = dict(
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
