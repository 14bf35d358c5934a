"""A method in a package of the user's own goes through every command; no file of mmstan changes."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.whole_runs import scalars, train_tiny
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmstan.benchmark.cost import Settings, measure
from mmstan.benchmark.flops import format_flops
from mmstan.benchmark.jobs import Job, find_reference
from mmstan.benchmark.learning import plan_system
from mmstan.benchmark.store import Costs, make_rows
from mmstan.config.narrow import narrow_model
from mmstan.converters import CONVERTERS
from mmstan.models.sizes import Sizes
from mmstan.registry import MODELS
from mmstan.visualization import group_layers

PROJECT = Path(__file__).parents[2]
BACKBONE = """
from torch import Tensor, nn

from mmstan.converters import register_converter
from mmstan.models.backbones import FrameEncoder
from mmstan.registry import MODELS


@MODELS.register_module()
class EveryOther(FrameEncoder):
    '''CLIP on every other frame, behind a linear layer of a width of its own.'''

    def __init__(self, tower, *, rank=128):
        super().__init__(tower)
        self.extra = nn.Sequential(nn.Linear(self.out_dim, rank), nn.Linear(rank, self.out_dim))

    def forward(self, clip: Tensor) -> Tensor:
        return self.extra(super().forward(clip[:, :, ::2]))

    def tokens(self, clip: Tensor) -> Tensor:
        return super().tokens(clip[:, :, ::2])

    @classmethod
    def tower_frames(cls, cfg, frames):
        return frames // 2

    @classmethod
    def narrowed(cls, cfg, sizes):
        return dict(super().narrowed(cfg, sizes), rank=sizes.width // 4)

    def layer_groups(self):
        return dict(super().layer_groups(), extra=list(self.extra))


register_converter('every_other', dict, dict)
"""
CONFIG = f"""
_base_ = ['{PROJECT}/configs/baselines/clip_mean/k400_b16.py']
custom_imports = dict(imports=['mmstan', 'own_method.backbone'], allow_failed_imports=False)
model = dict(backbone=dict(type='mmstan.EveryOther'))
rules = [dict(match=r'backbone\\.')]
optim_wrapper = dict(paramwise_cfg=dict(rules=rules))
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The config of a method in a package outside of mmstan."""
    (tmp_path / 'own_method').mkdir()
    (tmp_path / 'own_method/__init__.py').touch()
    (tmp_path / 'own_method/backbone.py').write_text(BACKBONE)
    (tmp_path / 'own.py').write_text(CONFIG)
    monkeypatch.syspath_prepend(tmp_path)
    yield str(tmp_path / 'own.py')
    MODELS.module_dict.pop('EveryOther', None)
    CONVERTERS.pop('every_other', None)
    for name in [name for name in sys.modules if name.startswith('own_method')]:
        del sys.modules[name]


def load(config: str) -> Config:
    cfg = Config.fromfile(config)
    init_default_scope(cfg.default_scope)
    if isinstance(cfg.model.cls_head.class_names, str):
        cfg.model.cls_head.class_names = ['left', 'right']
    return cfg


def test_build_pictures_and_converter(config: str) -> None:
    cfg = load(config)
    narrow_model(cfg.model, Sizes(width=32, heads=2, joint=16, text_layers=1, layers=2))
    backbone = MODELS.build(cfg.model.backbone)
    assert backbone.extra[0].out_features == 8  # its own rule for narrow forms
    groups = group_layers(backbone)
    assert [len(groups[name]) for name in ('tower', 'extra')] == [2, 2]
    assert CONVERTERS['every_other'].from_released({}) == {}


def test_get_flops(config: str) -> None:
    def gmacs(cfg: Config) -> float:
        return float(re.search(r'GMACs +([\d.]+)', format_flops(cfg, 8, 64))[1])

    own, mean = load(config), load(f'{PROJECT}/configs/baselines/clip_mean/k400_b16.py')
    assert gmacs(own) == pytest.approx(gmacs(mean) / 2, rel=0.01)  # every other frame


def test_tiny(config: str, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged = scalars(train_tiny(config, shapes, tmp_path, monkeypatch))
    assert any('loss' in line for line in logged)
    assert any('acc/top1' in line for line in logged)


def test_benchmark_and_toy(config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = tmp_path / 'data/moving_shapes/small/recognition/classes.txt'
    names.parent.mkdir(parents=True)
    names.write_text('left\nright')
    own = plan_system(config, 0, tmp_path / 'runs')[1]
    assert own.config.model.backbone.rank == 16 and own.config.model.backbone.type.endswith('Other')
    own.config.dump(tmp_path / 'toy.py')
    settings = Settings(device='cpu', threads=1, clips=1, repeats=1)
    found = measure(str(tmp_path / 'toy.py'), settings)
    assert found['forward'] > 0 and found['trained'] > 0
    job = Job(config, settings)
    mean = find_reference(job)
    assert mean is not None and mean.settings.frames == 4  # as many as its tower sees
    costs = Costs(tmp_path / 'cost.jsonl')
    costs.add(job, 0, found)
    (row,) = make_rows([job], costs, [0], tmp_path / 'runs', 'here')
    assert (row.system, row.frames) == ('own', 4) and row.gmacs == found['gmacs']
