# X-CLIP, Table 11: sparse sampling in training and test, 32 frames; one view.
_base_ = '../k400_b16_32f.py'

test_dataloader = dict(batch_size=16, dataset=dict(pipeline=_base_.val_pipeline))
train_cfg = dict(max_epochs=30, val_interval=5)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], T_max=25, end=30),
]
