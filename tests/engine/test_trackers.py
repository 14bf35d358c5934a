"""``tools/train.py --track``."""

import sys
from pathlib import Path

import pytest
from helpers.scripts import script
from mmengine.config import Config

from mmstan.engine import trackers
from mmstan.engine.trackers import TRACKERS, add_trackers
from mmstan.registry import VISUALIZERS

LOCAL = dict(type='LocalVisBackend')


def make_config() -> Config:
    visualizer = dict(type='mmstan.VideoVisualizer', vis_backends=[LOCAL])
    return Config(dict(visualizer=visualizer, work_dir='runs'))


def test_backends_are_added_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, 'find_spec', lambda name: name)
    cfg = make_config()
    for _ in range(2):
        add_trackers(cfg, ['tensorboard', 'mlflow'])
    types = [backend['type'] for backend in cfg.visualizer.vis_backends]
    assert types == ['LocalVisBackend', 'TensorboardVisBackend', 'MLflowVisBackend']
    cfg.visualizer.vis_backends = None
    add_trackers(cfg, ['wandb'])
    assert cfg.visualizer.vis_backends == [dict(type='WandbVisBackend')]
    for bare in (Config(dict(work_dir='runs')), Config(dict(work_dir='runs', visualizer=None))):
        add_trackers(bare, ['wandb'])
        assert bare.visualizer.vis_backends == [LOCAL, dict(type='WandbVisBackend')]


def test_mlflow_writes_to_the_work_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(trackers, 'find_spec', lambda name: name)
    monkeypatch.chdir(tmp_path)
    cfg, other = make_config(), make_config()
    add_trackers(cfg, ['mlflow'])
    uri = cfg.visualizer.vis_backends[1].tracking_uri
    assert uri == f'sqlite:///{tmp_path}/runs/mlflow.db'
    monkeypatch.setenv('MLFLOW_TRACKING_URI', 'http://tracker.test')
    add_trackers(other, ['mlflow'])
    assert other.visualizer.vis_backends[1].tracking_uri == 'http://tracker.test'


@pytest.mark.parametrize('name', TRACKERS)
def test_a_missing_package_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, 'find_spec', lambda name: None)
    with pytest.raises(ImportError, match=f'--track {name} needs the package {name}: pip install'):
        add_trackers(make_config(), [name])


@pytest.mark.parametrize('backend', TRACKERS.values())
def test_mmengine_has_the_backends(backend: str) -> None:
    from mmengine.registry import VISBACKENDS

    assert backend in VISBACKENDS.module_dict
    assert VISUALIZERS.get('mmstan.VideoVisualizer')


def test_settings_of_a_tracker_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, 'find_spec', lambda name: name)
    tool = script('train')
    options = ['--track', 'tensorboard', '--cfg-options', 'visualizer.vis_backends.1.save_dir=here']
    monkeypatch.setattr(sys, 'argv', ['train', 'a.py', *options])
    cfg = tool.merge_args(make_config(), tool.parse_args())
    assert cfg.visualizer.vis_backends[1] == dict(type='TensorboardVisBackend', save_dir='here')


def test_a_list_of_dicts_is_no_option(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = script('train')
    option = 'visualizer.vis_backends=[dict(type=TensorboardVisBackend)]'
    monkeypatch.setattr(sys, 'argv', ['train', 'a.py', '--cfg-options', option])
    with pytest.raises(ValueError, match=r'holds settings of its own.*vis_backends\.0\.KEY=VALUE'):
        tool.merge_args(make_config(), tool.parse_args())
