# STAN, Table 6: cross-frame + intra-frame + branch, one level.
_base_ = '../k400_b16.py'

model = dict(backbone=dict(levels=(9, None, None, None)))
