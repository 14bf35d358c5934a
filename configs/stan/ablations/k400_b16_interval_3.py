# STAN, Table 8: every third block.
_base_ = '../k400_b16.py'

model = dict(backbone=dict(levels=(3, 6, 9, 12)))
