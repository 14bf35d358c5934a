# VATEX, ten captions a video, HGR's 1,500 test videos.
_base_ = './retrieval.py'

data_root = 'data/video_retrieval/vatex'
files = dict(
    type='mmstan.VATEX',
    ann_file=data_root + '/vatex_data.json',
    data_prefix=dict(video=data_root + '/videos'),
)
train_dataloader = dict(dataset=dict(**files, video_list=data_root + '/train_list.txt'))
val_dataloader = dict(dataset=dict(**files, video_list=data_root + '/val_list.txt'))
test_dataloader = dict(dataset=dict(**files, video_list=data_root + '/test_list.txt'))
