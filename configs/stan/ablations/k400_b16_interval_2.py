# STAN, Table 8: every second of the last blocks.
_base_ = '../k400_b16.py'

model = dict(backbone=dict(levels=(6, 8, 10, 12)))
