# The form that the released models were trained with.
_base_ = '../msrvtt_b32.py'

model = dict(head=dict(interaction=dict(form='simple')))
