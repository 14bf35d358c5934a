# Action detection with the rate of DiST's Kinetics-400 model: 8 frames for the frozen tower, 16 for
# the temporal encoder.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/detector_b16.py',
    '../_base_/datasets/ava22.py',
    '../_base_/schedules/detection.py',
]

num_frames = 16
load_from = 'work_dirs/dist/k400_b16_8f/epoch_36.pth'
model = dict(
    backbone=dict(
        type='mmstan.DiST', tower=dict(frozen=True), gamma=2, num_frames=8, pooling_layers=4
    )
)
train_pipeline = _base_.train_pipeline
test_pipeline = _base_.test_pipeline
for pipeline in (train_pipeline, test_pipeline):
    pipeline[0]['sampler']['num_frames'] = num_frames
del pipeline
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
optim_wrapper = dict(
    optimizer=dict(lr=3.2e-4),
    paramwise_cfg=dict(rules=[dict(match=r'(backbone\.branch|roi_head)\.')]),
)
