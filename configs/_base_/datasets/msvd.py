# MSVD, about 40 captions a video, also in the test.
_base_ = './retrieval.py'

data_root = 'data/video_retrieval/msvd'
files = dict(
    type='mmstan.MSVD',
    ann_file=data_root + '/raw-captions.pkl',
    data_prefix=dict(video=data_root + '/videos'),
)
train_dataloader = dict(dataset=dict(**files, video_list=data_root + '/train_list.txt'))
val_dataloader = dict(dataset=dict(**files, video_list=data_root + '/val_list.txt'))
test_dataloader = dict(dataset=dict(**files, video_list=data_root + '/test_list.txt'))
