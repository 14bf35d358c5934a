# `make pretraining`, the stand-in for CLIP: frame features, averaged, on the aligned data.
_base_ = './retrieval_stan.py'

max_epochs = 4

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmstan.FrameEncoder',
        tower=dict(type='mmstan.ImageTower', model=_base_.tower),
    )
)
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(_base_.param_scheduler[0], end=0.5),
    dict(_base_.param_scheduler[1], begin=0.5, T_max=max_epochs - 0.5, end=max_epochs),
]
