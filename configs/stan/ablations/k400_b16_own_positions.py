# STAN, Eq. 4 as printed: space positions of the branch's own, which start as the tower's.
_base_ = '../k400_b16.py'

model = dict(backbone=dict(own_positions=True))
