# Released as 'default'.
_base_ = './msrvtt_b32.py'

model = dict(neck=dict(difference='raw'))
