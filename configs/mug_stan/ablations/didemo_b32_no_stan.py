# Mug-STAN, Table V: Mug on the frames of CLIP alone, on DiDeMo.
_base_ = '../didemo_b32_paper.py'

model = dict(
    backbone=dict(_delete_=True, type='mmstan.FrameEncoder', tower=_base_.model.backbone.tower)
)
