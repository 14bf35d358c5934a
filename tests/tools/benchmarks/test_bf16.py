"""bf16 next to fp32, a config of every backbone."""

import sys
from pathlib import Path

import pytest
from helpers.benchmark_systems import FIGURES, MEAN, STAN
from helpers.scripts import script
from mmengine.config import Config

from mmstan.benchmark.jobs import Job
from mmstan.benchmark.systems import list_backbones
from mmstan.models.backbones import VideoBackbone
from mmstan.registry import MODELS


def test_every_backbone_has_a_config() -> None:
    MODELS.import_from_location()
    found = [str(Config.fromfile(path).model.backbone.type) for path in list_backbones()]
    kinds = {
        f'mmstan.{name}'
        for name, kind in MODELS.module_dict.items()
        if issubclass(kind, VideoBackbone) and kind.__module__.startswith('mmstan.')
    }
    assert len(found) == len(set(found)) and set(found) == kinds


def test_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tool = script('benchmarks/bf16')
    # Of two configs and two rounds, fp32 and bf16 in turn; the second round is ten times slower.
    seconds = iter([6.0, 3.0, 1.0, 1.0, 60.0, 20.0, 10.0, 10.0])

    def measure(job: Job) -> dict[str, float]:
        low = dict(agreement=0.75) if job.settings.precision == 'bf16' else {}
        return FIGURES | dict(iteration=next(seconds)) | low

    monkeypatch.setattr(tool, 'measure_in_own_process', measure)
    monkeypatch.setattr(sys, 'argv', ['bf16.py', MEAN, STAN, '--device=cpu', '--threads=3'])
    tool.main()
    out = capsys.readouterr().out
    assert '3 threads, eager, 2 clips' in out
    mean, stan = out.splitlines()[-2:]
    assert mean.endswith('k400_b16` | 33 s | 11.5 s | 2.50 x | 2 s | 2 s | 1.00 x | 0.75000 |')
    assert '| 1.00 x | 2 s' in stan


def test_two_configs_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / folder / 'idea.py' for folder in 'ab']
    for path in paths:
        path.parent.mkdir()
        path.write_text(f'_base_ = {STAN!r}')
    tool = script('benchmarks/bf16')
    monkeypatch.setattr(tool, 'measure_in_own_process', None)
    monkeypatch.setattr(sys, 'argv', ['bf16.py', *map(str, paths)])
    with pytest.raises(ValueError, match="are both 'idea' in the table"):
        tool.main()
