# The same with Mug in the place of the mean. Its sharpness of 100 is for CLIP's features; on these
# all weight falls on one token of every text then, and nothing is learnt.
_base_ = './misaligned_stan.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug', sharpness=10.0)))
