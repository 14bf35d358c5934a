# ActionCLIP's temporal shift inside the tower; nothing is new, so nothing learns faster.
_base_ = './k400_b16.py'

model = dict(
    backbone=dict(type='mmstan.TemporalShift'),
    neck=dict(_delete_=True, type='mmstan.MeanPool'),
    cls_head=dict(interaction=None),
)
optim_wrapper = dict(paramwise_cfg=dict(rules=[dict(match=r'backbone\.tower\.')]))
