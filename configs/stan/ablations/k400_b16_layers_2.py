# STAN, Fig. 3: two layers.
_base_ = '../k400_b16.py'

model = dict(backbone=dict(levels=(11, 12)))
