# 336 pixels: the side that is resized to, and its crops, are half as large again.
_base_ = './k400_l14.py'

num_frames, size, side = 16, 336, 384
train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = (-1, side)
train_pipeline[2].input_size = size
train_pipeline[3].scale = (size, size)
val_pipeline = _base_.val_pipeline
val_pipeline[1].scale = (-1, side)
val_pipeline[2].crop_size = size
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (-1, size)
test_pipeline[2].crop_size = size
for pipeline in (train_pipeline, val_pipeline, test_pipeline):
    pipeline[0].sampler.num_frames = num_frames
del pipeline

model = dict(
    backbone=dict(tower=dict(model='ViT-L-14-336'), checkpointing=True),
    neck=dict(num_frames=num_frames),
    cls_head=dict(text_tower=dict(model='ViT-L-14-336')),
)
train_dataloader = dict(batch_size=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=4, dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
optim_wrapper = dict(accumulative_counts=32)
