# X-CLIP, Table 6: CLIP, the mean of its frames, with X-CLIP's recipe; one view.
_base_ = './k400_b16_one_view.py'

model = dict(
    backbone=dict(type='mmstan.FrameEncoder'),
    neck=dict(_delete_=True, type='mmstan.MeanPool'),
    cls_head=dict(type='mmstan.TextHead'),
)
optim_wrapper = dict(paramwise_cfg=dict(rules=[dict(match=r'backbone\.tower\.')]))
