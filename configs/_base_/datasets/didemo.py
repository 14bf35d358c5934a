# DiDeMo, a paragraph a video: one frame of each of 64 equal segments of the whole file.
_base_ = './retrieval.py'

data_root = 'data/video_retrieval/didemo'
videos = dict(video=data_root + '/videos')
files = dict(type='mmstan.DiDeMo', data_prefix=videos)
num_frames = 64

train_pipeline = _base_.train_pipeline
test_pipeline = _base_.test_pipeline
for pipeline in (train_pipeline, test_pipeline):
    pipeline[0].sampler.num_frames = num_frames
del pipeline
test_pipeline[1].scale = (-1, 256)

train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        **files,
        ann_file=data_root + '/train_data.json',
        video_list=data_root + '/train_list.txt',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=4,
    dataset=dict(
        **files,
        ann_file=data_root + '/val_data.json',
        video_list=data_root + '/val_list.txt',
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=4,
    dataset=dict(
        **files,
        ann_file=data_root + '/test_data.json',
        video_list=data_root + '/test_list.txt',
        pipeline=test_pipeline,
    ),
)
