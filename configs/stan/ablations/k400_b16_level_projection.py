# STAN, Eq. 5-6 as printed: a projection on the tokens of every level.
_base_ = '../k400_b16.py'

model = dict(backbone=dict(level_projection=True))
