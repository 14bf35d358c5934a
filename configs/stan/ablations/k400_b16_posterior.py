# STAN, Table 6: cross-frame and intra-frame as a posterior structure.
_base_ = '../k400_b16.py'

model = dict(backbone=dict(levels=(12, None, None, None)))
