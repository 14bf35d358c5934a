# Something-Something v2: one frame of each of 8 equal segments, tested on 1 clip x 3 crops.
num_frames = 8
data_root = 'data/sthv2'
class_names = 'data/sthv2/label_map.txt'

train_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(type='mmstan.SampleSegments', num_frames=num_frames),
    ),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='RandomResizedCrop', area_range=(0.08, 1.0)),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=('img_shape', 'filename')),
]
val_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(type='mmstan.SampleSegments', num_frames=num_frames, test_mode=True),
    ),
    dict(type='Resize', scale=(-1, 224)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=('img_shape', 'filename')),
]
test_pipeline = [
    val_pipeline[0],
    val_pipeline[1],
    dict(type='ThreeCrop', crop_size=224),
    *val_pipeline[3:],
]

train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmstan.VideoDataset',
        ann_file=data_root + '/sthv2_train_list_videos.txt',
        data_prefix=dict(video=data_root + '/videos'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmstan.VideoDataset',
        ann_file=data_root + '/sthv2_val_list_videos.txt',
        data_prefix=dict(video=data_root + '/videos'),
        pipeline=val_pipeline,
        test_mode=True,
    ),
)
test_dataloader = dict(
    batch_size=4,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmstan.VideoDataset',
        ann_file=data_root + '/sthv2_val_list_videos.txt',
        data_prefix=dict(video=data_root + '/videos'),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
val_evaluator = dict(type='mmstan.AccMetric')
test_evaluator = val_evaluator
