"""A tiny detector of Moving Shapes' crowds, with random weights."""

from pathlib import Path
from typing import NamedTuple

import torch
from helpers.scripts import PROJECT
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmstan.config.tiny import make_tiny
from mmstan.registry import MODELS


class TinyDetector(NamedTuple):
    """A config file and a checkpoint."""

    config: Path
    checkpoint: Path


def make_detector(shapes: Path, folder: Path) -> TinyDetector:
    """Write the config and the checkpoint of a narrow STAN into ``folder``."""
    cfg = Config.fromfile(PROJECT / 'configs/quickstart/detection_stan.py')
    init_default_scope(cfg.default_scope)
    cfg = make_tiny(cfg, data=shapes)
    cfg.dump(folder / 'detector.py')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict()), folder / 'detector.pth')
    return TinyDetector(folder / 'detector.py', folder / 'detector.pth')
