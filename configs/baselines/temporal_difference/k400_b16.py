# CLIP2Video's temporal difference block, for recognition as in STAN's Table 7: STAN's recipe.
_base_ = '../seq_transformer/k400_b16.py'

model = dict(neck=dict(type='mmstan.TemporalDifference'))
