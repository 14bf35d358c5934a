# Kinetics-400: one frame of each of 8 equal segments, tested on 1 clip x 3 crops.
_base_ = '../loaders.py'

num_frames = 8
data_root = 'data/kinetics400'
class_names = 'data/kinetics400/label_map_k400.txt'

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
    *train_pipeline[-2:],
]
test_pipeline = [
    val_pipeline[0],
    val_pipeline[1],
    dict(type='ThreeCrop', crop_size=224),
    *val_pipeline[3:],
]
val_dataset = dict(
    type='mmstan.VideoDataset',
    ann_file=data_root + '/kinetics400_val_list_videos.txt',
    data_prefix=dict(video=data_root + '/videos_val'),
)

train_dataloader = dict(
    dataset=dict(
        type='mmstan.VideoDataset',
        ann_file=data_root + '/kinetics400_train_list_videos.txt',
        data_prefix=dict(video=data_root + '/videos_train'),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(dataset=dict(val_dataset, pipeline=val_pipeline))
test_dataloader = dict(batch_size=4, dataset=dict(val_dataset, pipeline=test_pipeline))
val_evaluator = dict(type='mmstan.AccMetric')
test_evaluator = val_evaluator
