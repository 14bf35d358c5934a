# CLIP2Video's temporal difference block alone, without its alignment block, as in STAN's Table 7.
# CLIP4Clip's recipe and its one frame a second; CLIP2Video took two, and released no training code.
_base_ = '../seq_transformer/msrvtt_b32.py'

model = dict(neck=dict(type='mmstan.TemporalDifference'))
