# The same with STAN's branch.
_base_ = './pretraining_mean.py'

model = dict(backbone=dict(type='mmstan.STAN', levels=(2, 3, 4)))
