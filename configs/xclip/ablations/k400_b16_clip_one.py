# X-CLIP's "CLIP-One": one frame of each video, at random in training; one view.
_base_ = './k400_b16_clip_mean.py'

for pipeline in (_base_.train_pipeline, _base_.val_pipeline):
    pipeline[0].sampler.num_frames = 1
del pipeline

train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.val_pipeline))
