# STAN, Table 6: cross-frame and intra-frame as a posterior structure.
_base_ = './stan.py'

model = dict(backbone=dict(levels=(4, None, None)))
