# ActivityNet Captions, a paragraph a video: as DiDeMo, other files; val_1 is the test.
_base_ = './didemo.py'

data_root = 'data/video_retrieval/activitynet'
files = dict(
    type='mmstan.ActivityNetCaptions',
    data_prefix=dict(video=data_root + '/videos'),
)
val_dataset = dict(
    **files, ann_file=data_root + '/val_1.json', video_list=data_root + '/val_ids.json'
)
train_dataloader = dict(
    dataset=dict(
        **files, ann_file=data_root + '/train.json', video_list=data_root + '/train_ids.json'
    )
)
val_dataloader = dict(dataset=val_dataset)
test_dataloader = dict(dataset=val_dataset)
