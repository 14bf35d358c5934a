# STAN, Fig. 3: six layers.
_base_ = '../k400_b16.py'

model = dict(backbone=dict(levels=(7, 8, 9, 10, 11, 12)))
