"""Tiny retrieval models."""

from typing import Any

import torch
from helpers.tiny_models import WORDS, shaken

from mmstan.models import VideoTextModel
from mmstan.registry import MODELS

PREPROCESSOR = dict(
    type='ActionDataPreprocessor', mean=[127.5] * 3, std=[60.0] * 3, format_shape='NCTHW'
)


def build(model: dict[str, Any] = WORDS, *, stan: bool = False, **changes: Any) -> VideoTextModel:
    backbone = dict(type='mmstan.FrameEncoder', tower=dict(type='mmstan.ImageTower', model=model))
    if stan:
        backbone.update(type='mmstan.STAN', levels=(2, 3))
    cfg = dict(
        type='mmstan.VideoTextModel',
        backbone=backbone,
        text_tower=dict(type='mmstan.TextTower', model=model),
        head=dict(type='mmstan.RetrievalHead', interaction=dict(type='mmstan.Mug', sharpness=5.0)),
        text_length=8,
        data_preprocessor=PREPROCESSOR,
    )
    torch.manual_seed(0)
    built: VideoTextModel = MODELS.build(dict(cfg, **changes))
    shaken(built)
    return built


def head(interaction: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    return dict(type='mmstan.RetrievalHead', interaction=interaction, **arguments)
