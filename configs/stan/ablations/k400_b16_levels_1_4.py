# STAN, Table 8: level range 1-4.
_base_ = '../k400_b16.py'

model = dict(backbone=dict(levels=(1, 2, 3, 4)))
