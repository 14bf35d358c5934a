import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from mmengine.config import Config
from test_tools import PROJECT, script, zero_shot  # noqa: F401

NAMES = ['zero', 'one']


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PROJECT / 'tools'))  # as where it is run as a script
    monkeypatch.delitem(sys.modules, 'test', raising=False)
    return script('test_splits')


@pytest.fixture
def config_file(zero_shot: Path) -> Path:  # noqa: F811
    """Tiny CLIP on random clips of two classes; in the second split they have changed names."""
    cfg = Config.fromfile(zero_shot)
    cfg.test_splits = dict(
        plain=dict(class_names=NAMES, length=5), swapped=dict(class_names=NAMES[::-1], length=5)
    )
    cfg.dump(zero_shot)
    return zero_shot


def run(tool: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> None:
    monkeypatch.setattr(sys, 'argv', ['test_splits.py', *map(str, arguments)])
    tool.main()


def test_every_split_has_its_names_and_data(
    tool: ModuleType, config_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    run(tool, monkeypatch, config_file, '--dump', config_file.with_name('scores.pkl'))
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
    tool: ModuleType,
    config_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tool.Runner, 'from_cfg', lambda cfg: pytest.fail('too late'))
    cfg = Config.fromfile(config_file)
    cfg.test_splits.swapped.update(split)
    cfg.dump(config_file)
    with pytest.raises(SystemExit, match=rf'(?s)^error: .*needs data.*{problem}'):
        run(tool, monkeypatch, config_file)
