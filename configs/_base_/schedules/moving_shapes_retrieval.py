# Video-text retrieval from scratch on Moving Shapes, in minutes on two cores.
_base_ = './moving_shapes.py'

max_epochs = 8

train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
val_cfg = dict(type='mmstan.RetrievalValLoop')
test_cfg = dict(type='mmstan.RetrievalTestLoop')
param_scheduler = [
    dict(_base_.param_scheduler[0], end=0.8),
    dict(_base_.param_scheduler[1], begin=0.8, T_max=max_epochs - 0.8, end=max_epochs),
]
