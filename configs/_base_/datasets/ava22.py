# AVA 2.2: 8 frames over the ten seconds around a key frame (300 frames at 30 fps), tested on whole
# frames. Expected, with the movies cut to seconds 900 to 1801 (docs/detection.md):
#   data/ava/videos_15min/VIDEO.mp4
#   data/ava/annotations/ava_{train,val}_v2.2.csv, ava_{train,val}_excluded_timestamps_v2.2.csv,
#   ava_action_list_v2.2_for_activitynet_2019.pbtxt, ava_dense_proposals_*.FAIR.recall_93.9.pkl
_base_ = '../loaders.py'

num_frames = 8
annotations = 'data/ava/annotations'
label_file = annotations + '/ava_action_list_v2.2_for_activitynet_2019.pbtxt'
videos = dict(video='data/ava/videos_15min')

train_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(type='mmstan.SampleKeyframe', num_frames=num_frames, seconds=10.0),
    ),
    dict(type='RandomRescale', scale_range=(256, 320)),
    dict(type='mmstan.RandomBoxCrop', size=256),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs', algorithm_keys=('scores',)),
]
test_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(
            type='mmstan.SampleKeyframe', num_frames=num_frames, seconds=10.0, test_mode=True
        ),
    ),
    dict(type='mmstan.ResizeToGrid', short=256, patch=16),
    *train_pipeline[-2:],
]
test_dataset = dict(
    type='mmstan.AVADataset',
    ann_file=annotations + '/ava_val_v2.2.csv',
    exclude_file=annotations + '/ava_val_excluded_timestamps_v2.2.csv',
    label_file=label_file,
    proposal_file=annotations + '/ava_dense_proposals_val.FAIR.recall_93.9.pkl',
    person_det_score_thr=0.9,
    data_prefix=videos,
    pipeline=test_pipeline,
)

train_dataloader = dict(
    dataset=dict(
        type='mmstan.AVADataset',
        ann_file=annotations + '/ava_train_v2.2.csv',
        exclude_file=annotations + '/ava_train_excluded_timestamps_v2.2.csv',
        label_file=label_file,
        proposal_file=annotations + '/ava_dense_proposals_train.FAIR.recall_93.9.pkl',
        person_det_score_thr=0.9,
        data_prefix=videos,
        pipeline=train_pipeline,
    )
)
# One clip at a time: the movies' frames differ in size.
val_dataloader = dict(batch_size=1, dataset=test_dataset)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='mmstan.AVAMetric',
    ann_file=test_dataset['ann_file'],
    label_file=label_file,
    exclude_file=test_dataset['exclude_file'],
)
test_evaluator = val_evaluator
