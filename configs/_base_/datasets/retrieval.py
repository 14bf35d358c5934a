# Videos and captions: one frame of each of 12 equal segments. A data set adds its files.
_base_ = '../loaders.py'

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

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_evaluator = dict(type='mmstan.RetrievalMetric')
test_evaluator = val_evaluator
