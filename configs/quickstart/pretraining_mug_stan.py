# The same with STAN's branch and Mug, in parts of 32 clips, to the same losses.
_base_ = './pretraining_stan.py'

model = dict(
    micro_batch=32,
    head=dict(interaction=dict(_delete_=True, type='mmstan.Mug', sharpness=10.0)),
)
