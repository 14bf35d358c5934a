# Tested on 12 frames as trained; the release tests on 32.
_base_ = '../stan/msrvtt_b16.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug')))
