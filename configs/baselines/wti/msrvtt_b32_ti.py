# TI: every word and every frame counts the same.
_base_ = './msrvtt_b32.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.TokenWise')))
