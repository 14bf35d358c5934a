# STAN as the paper writes it, where the release differs: first class token, positions, projections
# of the levels, dropout, and the order of the two modules.
_base_ = './k400_b16_intra_first.py'

model = dict(
    backbone=dict(first_class='mean', own_positions=True, level_projection=True, dropout=0.1)
)
