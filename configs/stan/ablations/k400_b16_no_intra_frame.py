# STAN, Table 6: cross-frame + branch + multi-level. The class token is then a sum of level means:
# it does not read the patches that cross-frame modules change, so these get no gradient.
_base_ = '../k400_b16.py'

model = dict(backbone=dict(intra_frame='none'))
find_unused_parameters = True
