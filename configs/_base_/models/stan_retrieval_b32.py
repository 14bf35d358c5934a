# The same with STAN's branch beside the tower, K = 4.
_base_ = './clip_mean_retrieval_b32.py'

model = dict(backbone=dict(type='mmstan.STAN', levels=(9, 10, 11, 12)))
