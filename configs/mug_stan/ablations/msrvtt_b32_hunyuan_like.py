# Mug-STAN, Table VIII: an approximation of HunYuan_tvr's interaction behind STAN.
_base_ = '../msrvtt_b32.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.HunyuanLike', dim=512)))
