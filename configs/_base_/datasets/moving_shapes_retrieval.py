# Moving Shapes with captions: `python tools/data/moving_shapes.py` renders them.
_base_ = './retrieval.py'

data_root = 'data/moving_shapes/small/retrieval'
videos = dict(video=data_root)
size = 32
num_frames = 9

train_pipeline = [
    _base_.train_pipeline[0],
    dict(type='Resize', scale=(size, size), keep_ratio=False),
    *_base_.train_pipeline[-2:],
]
test_pipeline = [_base_.test_pipeline[0], *train_pipeline[1:]]
for pipeline in (train_pipeline, test_pipeline):
    pipeline[0].sampler.num_frames = num_frames
del pipeline
test_dataset = dict(
    type='mmstan.CaptionsJson',
    ann_file=data_root + '/test.json',
    data_prefix=videos,
    pipeline=test_pipeline,
)

train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    dataset=dict(
        type='mmstan.CaptionsJson',
        ann_file=data_root + '/train.json',
        data_prefix=videos,
        pairs='random',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(batch_size=80, num_workers=1, dataset=test_dataset)
test_dataloader = val_dataloader
