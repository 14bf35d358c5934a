# Moving Shapes with captions: `python tools/data/moving_shapes.py` renders them.
data_root = 'data/moving_shapes/small/retrieval'
videos = dict(video=data_root)
size = 32
num_frames = 9

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
    dict(type='Resize', scale=(size, size), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    pack,
]
test_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(type='mmstan.SampleSegments', num_frames=num_frames, test_mode=True),
    ),
    *train_pipeline[1:],
]

train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmstan.CaptionsJson',
        ann_file=data_root + '/train.json',
        data_prefix=videos,
        pairs='random',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=80,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmstan.CaptionsJson',
        ann_file=data_root + '/test.json',
        data_prefix=videos,
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmstan.RetrievalMetric')
test_evaluator = val_evaluator
