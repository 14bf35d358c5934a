# DiST, gamma 1: 8 frames for the temporal encoder ("8+8f").
_base_ = '../ssv2_b16_8f.py'

gamma = 1
train_pipeline = _base_.train_pipeline
val_pipeline = _base_.val_pipeline
test_pipeline = _base_.test_pipeline
for pipeline in (train_pipeline, val_pipeline, test_pipeline):
    pipeline[0]['sampler']['num_frames'] = gamma * 8
del pipeline

model = dict(backbone=dict(gamma=gamma))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
