# MSR-VTT, 7k training videos, tested on 1k-A.
_base_ = './msrvtt.py'

train_dataloader = dict(dataset=dict(video_list=_base_.data_root + '/MSRVTT_train.7k.csv'))
