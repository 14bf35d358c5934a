# The same tower, data and epochs, with STAN's branch beside the tower.
_base_ = './detection_clip_mean.py'

model = dict(backbone=dict(type='mmstan.STAN', levels=(2, 3, 4)))
