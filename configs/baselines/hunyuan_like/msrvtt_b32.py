# An approximation of HunYuan_tvr's frame and word level, in DRL's recipe (wti/msrvtt_b32.py).
_base_ = '../wti/msrvtt_b32.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.HunyuanLike', dim=512)))
