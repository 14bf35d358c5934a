"""Configs for the commands."""

from pathlib import Path

import pytest
import torch
from helpers.tiny_models import WORDS, reference
from helpers.tiny_runs import stock_config


@pytest.fixture
def zero_shot(tmp_path: Path) -> Path:
    """A config whose towers have weights of their own: (config file, weights beside it)."""
    weights, sizes = tmp_path / 'clip.pt', WORDS
    torch.save(reference(sizes).state_dict(), weights)
    tower = dict(model=sizes, pretrained=str(weights))
    model = dict(
        type='Recognizer3D',
        backbone=dict(type='mmstan.FrameEncoder', tower=dict(type='mmstan.ImageTower', **tower)),
        neck=dict(type='mmstan.MeanPool'),
        cls_head=dict(
            type='mmstan.TextHead',
            class_names=['zero', 'one'],
            text_tower=dict(type='mmstan.TextTower', **tower),
        ),
        data_preprocessor=dict(
            type='ActionDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, format_shape='NCTHW'
        ),
    )
    cfg = stock_config(tmp_path / 'work_dir')
    cfg.model = model
    cfg.dump(tmp_path / 'zero_shot.py')
    return tmp_path / 'zero_shot.py'
