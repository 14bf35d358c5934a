# X-CLIP, supplement, Table 4: the mean of the frames in its place.
_base_ = './k400_b32_scratch.py'

model = dict(
    backbone=dict(_delete_=True, type='mmstan.FrameEncoder', tower=_base_.model.backbone.tower),
    neck=dict(_delete_=True, type='mmstan.MeanPool'),
)
optim_wrapper = dict(paramwise_cfg=dict(rules=[dict(match=r'backbone\.|cls_head\.')]))
