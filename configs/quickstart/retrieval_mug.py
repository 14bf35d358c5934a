# The same with Mug in the place of the mean. Its sharpness of 100 is for features that CLIP has
# trained: from scratch it stays at chance, since all weight falls on one token of every text.
_base_ = './retrieval_stan.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug', sharpness=10.0)))
