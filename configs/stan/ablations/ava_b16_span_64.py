# The span of SlowFast (32 x 2) and VideoMAE (16 x 4): 64 frames at 30 fps in place of 300.
_base_ = '../ava_b16.py'

train_pipeline = _base_.train_pipeline
test_pipeline = _base_.test_pipeline
for pipeline in (train_pipeline, test_pipeline):
    pipeline[0]['sampler']['seconds'] = 64 / 30
del pipeline
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
