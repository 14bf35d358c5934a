# MSR-VTT, 9k training and 1k-A test videos (JSFusion's split has no validation videos): one frame
# of each of 12 equal segments.
data_root = 'data/video_retrieval/msrvtt'
videos = dict(video=data_root + '/videos')
num_frames = 12

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
    dict(type='Resize', scale=(-1, 224)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    pack,
]

train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmstan.MSRVTT',
        ann_file=data_root + '/MSRVTT_data.json',
        video_list=data_root + '/MSRVTT_train.9k.csv',
        data_prefix=videos,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmstan.MSRVTT',
        video_list=data_root + '/MSRVTT_JSFUSION_test.csv',  # has the captions too
        data_prefix=videos,
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmstan.RetrievalMetric')
test_evaluator = val_evaluator
