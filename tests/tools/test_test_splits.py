import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.scripts import script
from helpers.tiny_runs import stock_config
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

tool = script('test')
NAMES = ['zero', 'one']


@pytest.fixture
def config_file(zero_shot: Path) -> Path:
    """Tiny CLIP on random clips of two classes; in the second split they have changed names."""
    cfg = Config.fromfile(zero_shot)
    cfg.test_splits = dict(
        plain=dict(class_names=NAMES, length=5), swapped=dict(class_names=NAMES[::-1], length=5)
    )
    cfg.dump(zero_shot)
    return zero_shot


def run(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> None:
    monkeypatch.setattr(sys, 'argv', ['test.py', *map(str, arguments)])
    tool.main()


def test_every_split_has_its_names_and_data(
    config_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    run(monkeypatch, config_file, '--dump', config_file.with_name('scores.pkl'))
    folder = Path(Config.fromfile(config_file).work_dir)
    found = json.loads((folder / 'splits.json').read_text())
    top1 = {name: metrics['acc/top1'] for name, metrics in found['splits'].items()}
    assert list(top1) == ['plain', 'swapped']
    assert sum(top1.values()) == pytest.approx(1)  # right by one is wrong by the other
    assert top1['plain'] != top1['swapped']
    assert found['mean']['acc/top1'] == pytest.approx(0.5)
    table = (folder / 'splits.md').read_text()
    assert table.startswith('| split | acc/top1 |')
    assert table in capsys.readouterr().out
    for name in top1:
        assert config_file.with_name(f'scores_{name}.pkl').exists()


def test_splits_of_the_data_alone(
    work_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head that knows no class names."""
    init_default_scope('mmaction')
    cfg = stock_config(work_dir)
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), tmp_path / 'epoch_1.pth')
    cfg.test_splits = dict(short=dict(length=3), long=dict(length=6))
    cfg.dump(tmp_path / 'splits.py')
    checkpoint, dump = tmp_path / 'epoch_1.pth', tmp_path / 'scores.pkl'
    run(monkeypatch, tmp_path / 'splits.py', checkpoint, '--dump', dump)
    found = json.loads((work_dir / 'splits.json').read_text())['splits']
    for name, length in (('short', 3), ('long', 6)):
        samples = load(tmp_path / f'scores_{name}.pkl')
        right = [int(sample['pred_label']) == int(sample['gt_label']) for sample in samples]
        assert len(right) == length
        assert found[name]['acc/top1'] == pytest.approx(sum(right) / length)


@pytest.mark.parametrize(
    ('split', 'problem'),
    [
        (dict(class_names='nowhere.txt'), r'nowhere\.txt'),
        (dict(ann_file='nowhere_list.txt'), r'nowhere_list\.txt'),
    ],
)
def test_all_splits_are_looked_at_first(
    split: dict[str, Any],
    problem: str,
    config_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Runner, 'from_cfg', lambda cfg: pytest.fail('too late'))
    cfg = Config.fromfile(config_file)
    cfg.test_splits.swapped.update(split)
    cfg.dump(config_file)
    with pytest.raises(SystemExit, match=rf'(?s)^error: .*needs data.*{problem}'):
        run(monkeypatch, config_file)
