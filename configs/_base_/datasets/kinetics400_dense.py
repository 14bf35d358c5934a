# Kinetics-400, 8 frames with 15 between them (8 x 16), tested on 3 clips x 1 crop.
_base_ = './kinetics400.py'

num_classes = 400
frames = dict(type='SampleFrames', clip_len=8, frame_interval=16)
train_pipeline = [
    dict(type='mmstan.ReadFrames', sampler=dict(num_clips=1, **frames)),
    *_base_.train_pipeline[1:4],
    dict(type='Flip', flip_ratio=0.5),
    *_base_.train_pipeline[4:],
]
val_pipeline = [
    dict(type='mmstan.ReadFrames', sampler=dict(num_clips=1, test_mode=True, **frames)),
    *_base_.val_pipeline[1:],
]
test_pipeline = [
    dict(type='mmstan.ReadFrames', sampler=dict(num_clips=3, test_mode=True, **frames)),
    *_base_.val_pipeline[1:],
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
