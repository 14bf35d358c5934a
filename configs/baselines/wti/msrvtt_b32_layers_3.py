# Networks of three linear layers.
_base_ = './msrvtt_b32.py'

model = dict(head=dict(interaction=dict(layers=3)))
