"""A saved model of each shipped config, used in another process that finds no configs."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from campaign.figures import Figures
from mmengine.config import Config
from mmengine.registry import init_default_scope

import mmstan
from mmstan.apis.video_model import VideoModel
from mmstan.config.find import list_configs
from mmstan.config.paths import find_shipped
from mmstan.config.tiny import make_tiny
from mmstan.datasets.moving_shapes import generate
from mmstan.registry import MODELS

_TOGETHER = 20  # models that one process loads
_TEXTS = ('a dog runs', 'red', 'a woman cooks in a small kitchen')
_LOAD = """
import json, sys
import torch
import mmstan
from mmstan.config import paths
from campaign.packages import use
paths.find_shipped = None
for folder in sys.argv[2:]:
    try:
        found = use(mmstan.load(folder, device='cpu', workers=0), sys.argv[1])
        right = torch.load(f'{folder}/right.pt')
        outcome = 'right' if torch.equal(found, right) else f'{found - right}'
    except ValueError as error:
        outcome = str(error)
    print(json.dumps([folder, outcome]))
"""


def use(model: VideoModel, clip: str) -> torch.Tensor:
    """Scores of a clip, of the model's own classes or of three texts."""
    if model.is_retrieval:
        return model.similarity(_TEXTS, [clip, clip])
    return torch.as_tensor(model.classify(clip).all)


def run(count: int, seed: int, folder: Path) -> Iterator[Figures]:
    """One line: of ``count`` configs, all of them where there are fewer, in tiny form."""
    figures = Figures('saved models')
    shapes = generate(folder / 'shapes/moving_shapes', size='tiny', workers=1)
    clip = str(min(shapes.rglob('*.mp4')))
    names = sorted(name for name in list_configs() if '/' in name)
    names = [name for name in names if 'roi_head' not in _model(name)]  # those need boxes
    names = random.Random(seed).sample(names, min(count, len(names)))
    for start in range(0, len(names), _TOGETHER):
        saved = folder / 'saved'
        for name in names[start : start + _TOGETHER]:
            _save(name, saved / name.replace('/', '_'), shapes.parent, clip)
        _compare(saved, clip, figures)
        shutil.rmtree(saved)
    yield figures


def _model(name: str) -> Any:
    return Config.fromfile(find_shipped('configs') / f'{name}.py').model


def _save(name: str, folder: Path, data: Path, clip: str) -> None:
    cfg = make_tiny(Config.fromfile(find_shipped('configs') / f'{name}.py'), data=data)
    folder.mkdir(parents=True)
    config, checkpoint = str(folder / 'config.py'), str(folder / 'weights.pth')
    cfg.dump(config)
    init_default_scope('mmaction')
    torch.save({'state_dict': MODELS.build(cfg.model).state_dict()}, checkpoint)
    model = mmstan.load(config, checkpoint, device='cpu', workers=0)
    right = use(model, clip)
    shutil.rmtree(folder)
    model.save(folder)
    torch.save(right, folder / 'right.pt')


def _compare(saved: Path, clip: str, figures: Figures) -> None:
    folders = sorted(map(str, saved.iterdir()))
    command = [sys.executable, '-W', 'ignore', '-c', _LOAD, clip, *folders]
    done = subprocess.run(command, cwd=saved, capture_output=True, text=True, check=False)
    lines = [json.loads(x) for x in done.stdout.splitlines() if x.startswith('["')]
    for folder, outcome in lines:
        figures.count('right' if outcome == 'right' else 'wrong', f'{folder}: {outcome}')
    for folder in folders[len(lines) :]:
        figures.count('crashed', f'{folder}: {done.stderr[-300:]}')
