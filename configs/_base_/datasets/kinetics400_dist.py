# Kinetics-400 with DiST's augmentation: 16 frames, of which the tower sees each second one; tested
# on 3 clips x 1 crop. The clips lie in the middle of the thirds of the segments (as released at
# their ends: 1/3, 2/3 and 3/3, and a frame is the nearest one, not the one that is being shown).
_base_ = ['./kinetics400.py', '../augmentation.py']

num_frames = 16
train_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(type='mmstan.SampleSegments', num_frames=num_frames),
    ),
    dict(type='RandomResizedCrop', area_range=(0.4, 1.0)),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    _base_.greyscale,
    *_base_.train_pipeline[-2:],
]
val_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(type='mmstan.SampleSegments', num_frames=num_frames, test_mode=True),
    ),
    *_base_.val_pipeline[1:],
]
test_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(
            type='mmstan.SampleSegments', num_frames=num_frames, num_clips=3, test_mode=True
        ),
    ),
    *_base_.val_pipeline[1:],
]

# On 8 GPUs 256 clips.
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
