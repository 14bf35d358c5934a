# TimeSformer itself, with its own recipe: a vision transformer that has learned from ImageNet, 8
# frames with 31 between them, SGD. TimeSformer's released checkpoints are converted for this model.
# Departures: no dropout before the classifier; norms, biases and embeddings do not decay.
_base_ = ['./k400_b16.py', '../../_base_/models/imagenet_vit_b16.py']

model = dict(
    data_preprocessor=dict(mean=[114.75] * 3, std=[57.375] * 3),
    backbone=dict(tower=dict(_base_.imagenet_vit, _delete_=True)),
    cls_head=dict(
        _delete_=True,
        type='TimeSformerHead',
        num_classes=400,
        in_channels=768,
        average_clips='prob',
    ),
)

frames = dict(type='SampleFrames', clip_len=8, frame_interval=32, num_clips=1)
train_pipeline = [
    dict(type='mmstan.ReadFrames', sampler=frames),
    dict(type='RandomRescale', scale_range=(256, 320)),
    dict(type='RandomCrop', size=224),
    dict(type='Flip', flip_ratio=0.5),
    *_base_.train_pipeline[-2:],
]
read = dict(type='mmstan.ReadFrames', sampler=dict(test_mode=True, **frames))
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=[read, *_base_.val_pipeline[1:]]))
test_dataloader = dict(dataset=dict(pipeline=[read, *_base_.test_pipeline[1:]]))

optim_wrapper = dict(
    optimizer=dict(
        _delete_=True, type='SGD', lr=0.005, momentum=0.9, nesterov=True, weight_decay=1e-4
    ),
    paramwise_cfg=dict(rules=[dict(match=r'backbone\.|cls_head\.')]),
    clip_grad=None,
)
train_cfg = dict(max_epochs=15, val_interval=1)
param_scheduler = [dict(type='MultiStepLR', end=15, milestones=[11, 14])]
auto_scale_lr = dict(base_batch_size=64)
