# Moving Shapes, the bundled toy data: `python tools/data/moving_shapes.py` renders them.
_base_ = '../loaders.py'

data_root = 'data/moving_shapes/small/recognition'
class_names = data_root + '/classes.txt'
videos = dict(video=data_root)
size = 32

train_pipeline = [
    dict(type='mmstan.ReadFrames', sampler=dict(type='mmstan.SampleSegments', num_frames=8)),
    dict(type='Resize', scale=(size, size), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=('img_shape', 'filename')),
]
test_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(type='mmstan.SampleSegments', num_frames=8, test_mode=True),
    ),
    dict(type='Resize', scale=(size, size), keep_ratio=False),
    dict(type='CenterCrop', crop_size=size),
    *train_pipeline[-2:],
]
test_dataset = dict(
    type='mmstan.VideoDataset',
    ann_file=data_root + '/test.txt',
    data_prefix=videos,
    pipeline=test_pipeline,
)

train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    dataset=dict(
        type='mmstan.VideoDataset',
        ann_file=data_root + '/train.txt',
        data_prefix=videos,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(batch_size=100, num_workers=1, dataset=test_dataset)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmstan.AccMetric', metric_list=('top_k_accuracy', 'mean_class_accuracy'))
test_evaluator = val_evaluator
