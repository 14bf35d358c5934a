# DiDeMo, a paragraph a video: one frame of each of 64 equal segments of the whole file.
data_root = 'data/video_retrieval/didemo'
videos = dict(video=data_root + '/videos')
num_frames = 64

pack = dict(
    type='PackActionInputs',
    meta_keys=('img_shape', 'filename', 'video_id'),
    algorithm_keys=('captions', 'frame_mask'),
)
train_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(type='mmstan.SampleSegments', num_frames=num_frames),
    ),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='RandomResizedCrop', area_range=(0.08, 1.0)),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    pack,
]
test_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(type='mmstan.SampleSegments', num_frames=num_frames, test_mode=True),
    ),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    pack,
]

train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmstan.DiDeMo',
        ann_file=data_root + '/train_data.json',
        video_list=data_root + '/train_list.txt',
        data_prefix=videos,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmstan.DiDeMo',
        ann_file=data_root + '/val_data.json',
        video_list=data_root + '/val_list.txt',
        data_prefix=videos,
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = dict(
    batch_size=4,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmstan.DiDeMo',
        ann_file=data_root + '/test_data.json',
        video_list=data_root + '/test_list.txt',
        data_prefix=videos,
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
val_evaluator = dict(type='mmstan.RetrievalMetric')
test_evaluator = val_evaluator
