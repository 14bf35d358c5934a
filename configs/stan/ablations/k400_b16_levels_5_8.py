# STAN, Table 8: level range 5-8.
_base_ = '../k400_b16.py'

model = dict(backbone=dict(levels=(5, 6, 7, 8)))
