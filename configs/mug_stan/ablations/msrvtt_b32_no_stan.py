# Mug-STAN, Table V: Mug on the frames of CLIP alone.
_base_ = '../msrvtt_b32.py'

model = dict(
    backbone=dict(_delete_=True, type='mmstan.FrameEncoder', tower=_base_.model.backbone.tower)
)
