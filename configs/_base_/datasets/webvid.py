# WebVid's 10.7 million pairs as distributed; validated on MSR-VTT 1k-A. 1,024 pairs on 8 GPUs.
_base_ = './shards.py'

data_root = 'data/webvid'
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmstan.WebVid',
        ann_file=data_root + '/results_10M_train.csv',
        data_prefix=dict(video=data_root + '/videos'),
        cache=True,
        pipeline={{_base_.train_pipeline}},
    ),
)
