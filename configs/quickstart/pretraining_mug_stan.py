# The same with STAN's branch and Mug.
_base_ = './pretraining_stan.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug', sharpness=10.0)))
