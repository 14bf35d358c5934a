# Moving Shapes' detection task: `python tools/data/moving_shapes.py --tasks detection` renders it.
# 7 frames, each second one, lie symmetrically around the key frame: an even number of them gives
# the direction of a motion away.
_base_ = '../loaders.py'

data_root = 'data/moving_shapes/small/detection'
label_file = data_root + '/labels.pbtxt'

train_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(type='mmstan.SampleKeyframe', num_frames=7, seconds=1.75),
    ),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs', algorithm_keys=('scores',)),
]
test_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(type='mmstan.SampleKeyframe', num_frames=7, seconds=1.75, test_mode=True),
    ),
    *train_pipeline[1:],
]
test_dataset = dict(
    type='mmstan.AVADataset',
    ann_file=data_root + '/test.csv',
    exclude_file=data_root + '/test_excluded.csv',
    label_file=label_file,
    proposal_file=data_root + '/test_proposals.csv',
    person_det_score_thr=0.9,
    num_classes=13,
    timestamp_start=0,
    data_prefix=dict(video=data_root + '/test'),
    pipeline=test_pipeline,
)

train_dataloader = dict(
    num_workers=1,
    dataset=dict(
        type='mmstan.AVADataset',
        ann_file=data_root + '/train.csv',
        exclude_file=data_root + '/train_excluded.csv',
        label_file=label_file,
        proposal_file=data_root + '/train_proposals.csv',
        person_det_score_thr=0.9,
        num_classes=13,
        timestamp_start=0,
        data_prefix=dict(video=data_root + '/train'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(batch_size=16, num_workers=1, dataset=test_dataset)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='mmstan.AVAMetric',
    ann_file=test_dataset['ann_file'],
    label_file=label_file,
    exclude_file=test_dataset['exclude_file'],
    groups=dict(motion=list(range(1, 9)), colour=list(range(9, 13))),
)
test_evaluator = val_evaluator
