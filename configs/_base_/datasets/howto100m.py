# HowTo100M's narrated videos; validated on MSR-VTT 1k-A. 1,024 pairs on 8 GPUs.
# An epoch of 21 million clips is our reading of its costs: the paper does not say how many it drew.
_base_ = './shards.py'

data_root = 'data/howto100m'
narrated_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(
            type='mmstan.SampleWindow',
            sampler=dict(type='mmstan.SampleSegments', num_frames={{_base_.num_frames}}),
        ),
    ),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='RandomResizedCrop', area_range=(0.08, 1.0)),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    {{_base_.pack}},
]
train_dataloader = dict(
    sampler=dict(samples_per_epoch=21_000_000),
    dataset=dict(
        _delete_=True,
        type='mmstan.HowTo100M',
        ann_file=data_root + '/HowTo100M_v1.csv',
        captions=data_root + '/caption.json',
        data_prefix=dict(video=data_root + '/videos'),
        cache=True,
        pipeline=narrated_pipeline,
    ),
)
