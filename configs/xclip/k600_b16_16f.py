_base_ = './k600_b16.py'

num_frames = 16
train_pipeline = _base_.train_pipeline
val_pipeline = _base_.val_pipeline
test_pipeline = _base_.test_pipeline
for pipeline in (train_pipeline, val_pipeline, test_pipeline):
    pipeline[0]['sampler']['num_frames'] = num_frames
del pipeline

model = dict(neck=dict(num_frames=num_frames))
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(batch_size=1, dataset=dict(pipeline=test_pipeline))
optim_wrapper = dict(accumulative_counts=8)
