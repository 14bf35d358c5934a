# EVL on Something-Something v2: a layer of the decoder for each of the 12 blocks, which its authors
# say it needs; recipe and scripts were not released, so these are Kinetics'. 1 clip x 3 crops, no
# flip: the classes tell left from right.
_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/models/clip_linear_b16.py',
    '../../_base_/datasets/ssv2.py',
    '../../_base_/schedules/evl.py',
]

model = dict(
    backbone=dict(type='mmstan.EVL', layers=12, num_frames=8),
    cls_head=dict(num_classes=174),
)
train_dataloader = dict(batch_size=32)
