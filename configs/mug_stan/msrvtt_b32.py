# Tested on 12 frames as trained; the release tests on 32.
_base_ = '../stan/msrvtt_b32.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug')))
optim_wrapper = dict(optimizer=dict(weight_decay=0.02))  # as released for Mug
