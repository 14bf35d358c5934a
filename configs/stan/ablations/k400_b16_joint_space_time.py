# Mug-STAN, Table V: joint space-time attention in place of the two modules.
_base_ = '../k400_b16.py'

model = dict(backbone=dict(cross_frame=None, intra_frame='joint'))
