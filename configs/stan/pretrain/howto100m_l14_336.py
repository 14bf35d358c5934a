# 336 pixels; prepared clips need a short side of 336 or more.
_base_ = [
    '../../_base_/pretraining_runtime.py',
    '../../_base_/models/stan_pretraining_l14_336.py',
    '../../_base_/datasets/howto100m.py',
    '../../_base_/schedules/post_pretraining.py',
]

size = 336
_base_.narrated_pipeline[1].scale = (-1, 384)
_base_.narrated_pipeline[3].scale = (size, size)
_base_.test_pipeline[1].scale = (-1, size)
_base_.test_pipeline[2].crop_size = size

train_dataloader = dict(dataset=dict(pipeline=_base_.narrated_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
