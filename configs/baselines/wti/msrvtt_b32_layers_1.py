# Networks of one linear layer.
_base_ = './msrvtt_b32.py'

model = dict(head=dict(interaction=dict(layers=1)))
