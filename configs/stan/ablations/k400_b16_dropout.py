# STAN, Eq. 4 as printed: dropout after the positions.
_base_ = '../k400_b16.py'

model = dict(backbone=dict(dropout=0.1))
