# STAN, Table 6: cross-frame + intra-frame + branch, one level.
_base_ = './stan.py'

model = dict(backbone=dict(levels=(2, None, None)))
