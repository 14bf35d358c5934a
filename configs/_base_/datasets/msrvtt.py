# MSR-VTT, 9k training and 1k-A test videos (JSFusion's split has no validation videos).
_base_ = './retrieval.py'

data_root = 'data/video_retrieval/msrvtt'
videos = dict(video=data_root + '/videos')
test_dataset = dict(
    type='mmstan.MSRVTT',
    video_list=data_root + '/MSRVTT_JSFUSION_test.csv',  # has the captions too
    data_prefix=videos,
)

train_dataloader = dict(
    dataset=dict(
        type='mmstan.MSRVTT',
        ann_file=data_root + '/MSRVTT_data.json',
        video_list=data_root + '/MSRVTT_train.9k.csv',
        data_prefix=videos,
    )
)
val_dataloader = dict(dataset=test_dataset)
test_dataloader = dict(dataset=test_dataset)
