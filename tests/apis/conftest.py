"""Tiny models of shipped configs with random weights, made once a session."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

import mmstan
from mmstan.apis.video_model import VideoModel
from mmstan.config.paths import find_shipped
from mmstan.config.tiny import make_tiny
from mmstan.registry import MODELS


class Files(NamedTuple):
    config: str
    checkpoint: str


@pytest.fixture(scope='session')
def tiny_files(
    moving_shapes: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Files]:
    """``tiny_files('stan/k400_b16')``: a tiny config, and a checkpoint of random weights."""
    folder, made = tmp_path_factory.mktemp('tiny_models'), {}

    def make(name: str) -> Files:
        if name not in made:
            path = folder / f'{name.replace("/", "_")}.py'
            cfg = make_tiny(
                Config.fromfile(find_shipped('configs') / f'{name}.py'), data=moving_shapes.parent
            )
            cfg.dump(path)
            init_default_scope('mmaction')
            torch.manual_seed(0)
            checkpoint = path.with_suffix('.pth')
            torch.save({'state_dict': MODELS.build(cfg.model).state_dict()}, checkpoint)
            made[name] = Files(str(path), str(checkpoint))
        return made[name]

    return make


@pytest.fixture(scope='session')
def tiny_model(tiny_files: Callable[[str], Files]) -> Callable[[str], VideoModel]:
    """``tiny_model('stan/k400_b16')``: the model, loaded once."""
    loaded: dict[str, VideoModel] = {}

    def load(name: str) -> VideoModel:
        if name not in loaded:
            loaded[name] = mmstan.load(*tiny_files(name), device='cpu', workers=0)
        return loaded[name]

    return load


@pytest.fixture(scope='session')
def clips(moving_shapes: Path) -> list[Path]:
    """Five rendered clips."""
    return sorted(moving_shapes.rglob('*.mp4'))[:5]
