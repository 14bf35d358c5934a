# 336 pixels. The recipe is that of 224.
_base_ = './k400_l14_32f.py'

size = 336
_base_.train_pipeline[1].scale = (-1, 384)
_base_.train_pipeline[3].scale = (size, size)
for pipeline in (_base_.val_pipeline, _base_.test_pipeline):
    pipeline[1].scale = (-1, size)
    pipeline[2].crop_size = size
del pipeline

model = dict(backbone=dict(image_size=size, tower=dict(model='ViT-L-14-336')))
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
