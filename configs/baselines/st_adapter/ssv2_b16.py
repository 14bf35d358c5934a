# The same with 24 adapters, before attention as well, for 50 epochs; tested on 1 clip x 3 crops.
# No flip: the classes tell left from right.
_base_ = './k400_b16.py'

model = dict(
    backbone=dict(before=('attention', 'mlp')),
    cls_head=dict(num_classes=174),
)

data_root = 'data/sthv2'
videos = dict(video=data_root + '/videos')
num_frames = 8
train_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(type='mmstan.SampleSegments', num_frames=num_frames),
    ),
    *_base_.train_pipeline[1:4],
    *_base_.train_pipeline[5:],
]
val_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(type='mmstan.SampleSegments', num_frames=num_frames, test_mode=True),
    ),
    *_base_.val_pipeline[1:],
]
test_pipeline = [
    *val_pipeline[:2],
    dict(type='ThreeCrop', crop_size=224),
    *val_pipeline[3:],
]
val_dataset = dict(ann_file=data_root + '/sthv2_val_list_videos.txt', data_prefix=videos)
train_dataloader = dict(
    dataset=dict(
        ann_file=data_root + '/sthv2_train_list_videos.txt',
        data_prefix=videos,
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(dataset=dict(pipeline=val_pipeline, **val_dataset))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline, **val_dataset))

optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.adapters\.(attention|mlp\.(?!11\.))|cls_head\.'),
            dict(match=r'backbone\.adapters\.mlp\.11\.', frozen=True),
        ]
    ),
)
train_cfg = dict(max_epochs=50, val_interval=5)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=2, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=2, T_max=48, end=50, convert_to_iter_based=True),
]
