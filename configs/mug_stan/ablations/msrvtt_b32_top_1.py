# Mug-STAN, Table VIII: the best one in the place of the softmax.
_base_ = '../msrvtt_b32.py'

model = dict(head=dict(interaction=dict(top_k=1)))
