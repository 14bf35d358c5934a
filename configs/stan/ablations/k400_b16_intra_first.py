# STAN, Section 3.2 as written: intra-frame before cross-frame. The class token does not read what
# the last cross-frame module changes, so this gets no gradient.
_base_ = '../k400_b16.py'

model = dict(backbone=dict(intra_first=True))
find_unused_parameters = True
