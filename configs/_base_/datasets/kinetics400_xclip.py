# Kinetics-400 with X-CLIP's augmentation, in its order; tested on 4 clips x 3 crops. The clips lie
# in the middle of the quarters of the segments (as released they are random, and so is the result).
# A clip has one colour jitter (as released every frame has its own).
_base_ = ['./kinetics400.py', '../augmentation.py']

train_pipeline = [
    _base_.train_pipeline[0],
    dict(type='Resize', scale=(-1, 256)),
    dict(
        type='MultiScaleCrop',
        input_size=224,
        scales=(1, 0.875, 0.75, 0.66),
        max_wh_scale_gap=1,
        random_crop=False,
        num_fixed_crops=5,
    ),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    dict(
        type='mmstan.ColorJitter', brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, prob=0.8
    ),
    _base_.greyscale,
    *_base_.train_pipeline[-2:],
]
val_pipeline = [
    _base_.val_pipeline[0],
    dict(type='Resize', scale=(-1, 256)),
    *_base_.val_pipeline[2:],
]
test_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(type='mmstan.SampleSegments', num_frames=8, num_clips=4, test_mode=True),
    ),
    *_base_.test_pipeline[1:],
]

# On 8 GPUs with 4 accumulated steps (schedules/xclip.py) 256 clips.
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(batch_size=2, dataset=dict(pipeline=test_pipeline))
