# Action detection with X-CLIP's messages between frames, with the rates of its Kinetics-400 model.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/imagenet_pixels.py',
    '../_base_/models/detector_b16.py',
    '../_base_/datasets/ava22.py',
    '../_base_/schedules/detection.py',
]

load_from = 'work_dirs/xclip/k400_b16/epoch_30.pth'
model = dict(data_preprocessor=_base_.imagenet_pixels, backbone=dict(type='mmstan.XCLIP'))
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.'),
            dict(match=r'(backbone\.messages|roi_head)\.', lr_mult=10),
        ]
    )
)
