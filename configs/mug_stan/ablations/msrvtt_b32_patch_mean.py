# Mug-STAN, III-A: a frame is the mean of its patches, for towers without a class token's feature
# (Florence); here on CLIP, which has one.
_base_ = '../msrvtt_b32.py'

model = dict(backbone=dict(tower=dict(feature='patches')))
