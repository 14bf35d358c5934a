# Action detection, from a model of Kinetics-400.
_base_ = '../baselines/clip_mean/ava_b16.py'

load_from = 'work_dirs/stan/k400_b16/epoch_50.pth'
model = dict(backbone=dict(type='mmstan.STAN', levels=(9, 10, 11, 12)))
