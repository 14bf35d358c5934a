"""Action detection as a whole: training, going on in mid-epoch, a test, two processes."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.gloo_processes import run_ranks
from helpers.resumed_run import read_losses  # also registers WriteLosses
from helpers.shipped_configs import load
from helpers.tiny_detectors import make_detector
from mmengine.config import Config
from mmengine.dist import get_world_size, is_main_process
from mmengine.runner import Runner

from mmstan.config.tiny import make_tiny

# PyTorch cannot know that the optimiser stepped before the interruption.
pytestmark = pytest.mark.filterwarnings('ignore:Detected call of `scheduler.step:UserWarning')
BATCHES = 9  # an epoch of 35 key frames


def make_config(shapes: Path, folder: Path, **changes: Any) -> Config:
    """A narrow STAN on the tiny crowds for one epoch; writes ``losses.txt``."""
    cfg = make_tiny(load('quickstart/detection_stan.py'), data=shapes)
    cfg.custom_hooks.append(dict(type='WriteLosses', file=str(folder / 'losses.txt')))
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=3)
    cfg.merge_from_dict(dict(changes, work_dir=str(folder), experiment_name=folder.name))
    folder.mkdir(parents=True)
    return cfg


def test_a_run_goes_on_in_mid_epoch(shapes: Path, tmp_path: Path) -> None:
    """Each loss is the one of the run that was not interrupted, and so is the mAP."""
    whole = Runner.from_cfg(make_config(shapes, tmp_path / 'whole'))
    whole.train()
    expected = read_losses(tmp_path / 'whole/losses.txt')
    assert [iteration for iteration, _ in expected] == list(range(BATCHES))
    again = make_config(
        shapes, tmp_path / 'again', load_from=str(tmp_path / 'whole/iter_6.pth'), resume=True
    )
    runner = Runner.from_cfg(again)
    runner.train()
    assert read_losses(tmp_path / 'again/losses.txt') == expected[6:]
    first, second = (
        r.message_hub.get_scalar('val/detection/mAP').current() for r in (whole, runner)
    )
    assert first == second and 0 < first < 1
    metrics = runner.test()
    assert metrics['detection/mAP'] == first
    assert {'detection/motion', 'detection/colour'} < metrics.keys()
    assert not [name for name in sys.modules if name.split('.')[0] == 'mmdet']


def run_test(folder: Path, config: str) -> None:
    """Test as the environment says, alone or as one of several processes."""
    cfg = Config.fromfile(config)
    distributed = 'WORLD_SIZE' in os.environ
    cfg.merge_from_dict(
        dict(
            work_dir=str(folder),
            experiment_name=f'{folder.parent.name}-{folder.name}',
            launcher='pytorch' if distributed else 'none',
            env_cfg=dict(dist_cfg=dict(backend='gloo')),
        )
    )
    metrics = Runner.from_cfg(cfg).test()
    assert get_world_size() == (2 if distributed else 1)
    if is_main_process():
        kept = {key: value for key, value in metrics.items() if key.startswith('detection/')}
        (folder / 'metrics.json').write_text(json.dumps(kept))


def test_two_processes_have_the_map_of_one(shapes: Path, tmp_path: Path) -> None:
    """17 key frames: one process gets one of them twice, which counts once."""
    detector = make_detector(shapes, tmp_path)
    cfg = Config.fromfile(detector.config)
    cfg.load_from = str(detector.checkpoint)
    cfg.dump(detector.config)
    run_ranks(f'{__file__}:run_test', tmp_path / 'together', str(detector.config))
    (tmp_path / 'alone').mkdir()
    run_test(tmp_path / 'alone', str(detector.config))
    together, alone = (
        json.loads((tmp_path / name / 'metrics.json').read_text()) for name in ('together', 'alone')
    )
    assert together == alone and {'detection/mAP', 'detection/motion'} < alone.keys()
