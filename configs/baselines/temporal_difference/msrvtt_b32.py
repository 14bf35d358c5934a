# CLIP2Video's temporal difference block alone, as in STAN's Table 7, without its alignment block
# (msrvtt_b32_alignment.py). CLIP4Clip's recipe and its one frame a second; CLIP2Video took
# two, and released no training code.
_base_ = '../seq_transformer/msrvtt_b32.py'

model = dict(neck=dict(type='mmstan.TemporalDifference'))
