# STAN, Eq. 3 as printed: the branch's first class token is the mean of the frames' alone.
_base_ = '../k400_b16.py'

model = dict(backbone=dict(first_class='mean'))
