# An approximation of HunYuan_tvr's frame and word level (wti/k400_b16.py).
_base_ = '../wti/k400_b16.py'

model = dict(cls_head=dict(interaction=dict(_delete_=True, type='mmstan.HunyuanLike', dim=512)))
