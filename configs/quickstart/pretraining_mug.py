# The same with Mug and no branch.
_base_ = './pretraining_mean.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug', sharpness=10.0)))
