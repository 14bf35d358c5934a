# Mug-STAN, Fig. 6: two STAN networks in parallel.
_base_ = '../k400_b16.py'

model = dict(backbone=dict(networks=2))
