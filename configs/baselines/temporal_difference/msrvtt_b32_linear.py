# Released as 'sigmoid_mlp'.
_base_ = './msrvtt_b32.py'

model = dict(neck=dict(difference='linear'))
