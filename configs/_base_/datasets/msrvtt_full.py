# MSR-VTT's own split: 6513, 497 and 2990 videos, 20 captions each.
_base_ = './msrvtt.py'

data_root = _base_.data_root
captions = data_root + '/MSRVTT_data.json'
train_dataloader = dict(dataset=dict(video_list=data_root + '/MSRVTT_train.full.csv'))
val_dataloader = dict(
    dataset=dict(ann_file=captions, video_list=data_root + '/MSRVTT_val.full.csv')
)
test_dataloader = dict(
    dataset=dict(ann_file=captions, video_list=data_root + '/MSRVTT_test.full.csv')
)
