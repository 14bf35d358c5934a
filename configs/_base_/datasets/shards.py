# Any videos with captions in tar files; validated on MSR-VTT 1k-A. 1,024 pairs on 8 GPUs.
_base_ = './msrvtt.py'

train_dataloader = dict(
    batch_size=128,
    num_workers=12,
    pin_memory=True,
    drop_last=True,
    sampler=dict(_delete_=True, type='mmstan.ShardSampler', window=64, drop_last=True),
    dataset=dict(
        _delete_=True,
        type='mmstan.Shards',
        urls='data/shards',  # a folder, or data/shards/{00000..10726}.tar
        caption='txt',
        pipeline={{_base_.train_pipeline}},
    ),
)
