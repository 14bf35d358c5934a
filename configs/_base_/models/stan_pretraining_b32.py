# STAN for post-pretraining on 12 frames: the time table has 12 rows, all of which learn, and tests
# with more frames stretch it. Captions have 64 tokens, as released.
_base_ = './stan_retrieval_b32.py'

model = dict(
    backbone=dict(max_frames=12, time_interpolation='linear'),
    text_length=64,
)
