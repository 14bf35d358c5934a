# `make pretraining`: post-pretraining of the stand-in for CLIP on shards of the misaligned data,
# still with the mean of the frames. Its towers are given as `pretrained`.
_base_ = './pretraining_start.py'

data_root = 'data/moving_shapes/small/misaligned'
max_epochs = 3

train_dataloader = dict(
    batch_size=128,
    drop_last=True,
    sampler=dict(_delete_=True, type='mmstan.ShardSampler', window=2, drop_last=True),
    dataset=dict(
        _delete_=True,
        type='mmstan.Shards',
        urls='data/moving_shapes/small/pretraining',
        caption='json:caption=1,caption_1=1,caption_2=1',  # one of the three
        pipeline=_base_.train_pipeline,
    ),
)
test_dataset = dict(ann_file=data_root + '/test.json', data_prefix=dict(video=data_root))
val_dataloader = dict(dataset=test_dataset)
test_dataloader = val_dataloader
optim_wrapper = dict(
    optimizer=dict(lr=2e-4, weight_decay=0.001),
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.|text_tower\.'),
            dict(match=r'backbone\.branches\.', lr_mult=5, optional=True),
        ]
    ),
)
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], T_max=max_epochs - 0.5, end=max_epochs),
]
# Half of 69 iterations: from this checkpoint of Mug-STAN a second run goes on.
default_hooks = dict(
    logger=dict(interval=5), checkpoint=dict(by_epoch=False, interval=35, max_keep_ckpts=2)
)
