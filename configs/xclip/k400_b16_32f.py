# The model of zero-shot tests (zero_shot/): 32 frames, 10 epochs (the released file says 30).
_base_ = './k400_b16.py'

num_frames = 32
train_pipeline = _base_.train_pipeline
val_pipeline = _base_.val_pipeline
test_pipeline = _base_.test_pipeline
for pipeline in (train_pipeline, val_pipeline, test_pipeline):
    pipeline[0]['sampler']['num_frames'] = num_frames
del pipeline

model = dict(neck=dict(num_frames=num_frames))
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(batch_size=1, dataset=dict(pipeline=test_pipeline))
optim_wrapper = dict(accumulative_counts=8)

train_cfg = dict(max_epochs=10, val_interval=1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=5, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=5,
        T_max=5,
        end=10,
        eta_min=8e-8,
        convert_to_iter_based=True,
    ),
]
