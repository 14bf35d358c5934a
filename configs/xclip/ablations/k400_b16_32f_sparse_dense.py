# X-CLIP, Table 11: sparse sampling in training, dense in the test, 32 frames; one view.
# The interval is ours: 32 x 2 spans 64 frames.
_base_ = '../k400_b16_32f.py'

val_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(type='SampleFrames', clip_len=32, frame_interval=2, test_mode=True),
    ),
    *_base_.val_pipeline[1:],
]

val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(batch_size=16, dataset=dict(pipeline=val_pipeline))
train_cfg = dict(max_epochs=30, val_interval=5)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(
        type='CosineAnnealingLR',
        begin=5,
        T_max=25,
        end=30,
        eta_min=8e-8,
        convert_to_iter_based=True,
    ),
]
