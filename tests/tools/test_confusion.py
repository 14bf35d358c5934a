"""``tools/confusion.py`` on dumps as MMEngine writes them."""

import csv
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.scripts import script

TRUTH = [0, 0, 1, 1, 1, 1, 2]
PREDICTED = [0, 0, 2, 2, 2, 0, 2]


def dump(path: Path, **changes: Any) -> Path:
    samples = [
        dict(gt_label=torch.tensor([a]), pred_label=torch.tensor([b]), pred_score=torch.rand(3))
        for a, b in zip(TRUTH, PREDICTED)
    ]
    samples[2].update(changes)
    path.write_bytes(pickle.dumps(samples))
    return path


def run(monkeypatch: pytest.MonkeyPatch, *options: object) -> None:
    monkeypatch.setattr(sys, 'argv', ['confusion', *map(str, options)])
    script('confusion').main()


def test_pairs_table_and_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'names.txt').write_text('up\ndown\nleft\n')
    path = dump(tmp_path / 'scores.pkl')
    run(monkeypatch, path, '--class-names', tmp_path / 'names.txt', '--out', tmp_path / 'out')
    said = capsys.readouterr().out.splitlines()
    assert said[2:4] == ['| down | left | 3 | 75.0 % |', '| down | up | 1 | 25.0 % |']
    assert len(said) == 5
    with (tmp_path / 'out/confusion.csv').open() as file:
        rows = list(csv.reader(file))
    assert rows[0][1:] == ['up', 'down', 'left']
    assert rows[1:] == [['up', '2', '0', '0'], ['down', '1', '0', '3'], ['left', '0', '0', '1']]
    assert (tmp_path / 'out/confusion.png').read_bytes().startswith(b'\x89PNG')


def test_wrong_files_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'names.txt').write_text('up\ndown\n')
    with pytest.raises(SystemExit, match=r'names 2 classes, and the dump has class 2'):
        run(monkeypatch, dump(tmp_path / 'a.pkl'), '--class-names', tmp_path / 'names.txt')
    with pytest.raises(SystemExit, match=r'a\.pkl, sample 2 has no gt_label: dump a recognition'):
        run(monkeypatch, dump(tmp_path / 'a.pkl', gt_label='up'))
    with pytest.raises(SystemExit, match=r'sample 2: gt_label is \[1, 2\], one class was expected'):
        run(monkeypatch, dump(tmp_path / 'a.pkl', gt_label=torch.tensor([1, 2])))
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps([]))
    with pytest.raises(SystemExit, match='a list of samples was expected'):
        run(monkeypatch, tmp_path / 'a.pkl')


class Hostile:
    def __reduce__(self) -> Any:
        return Path.touch, (Path('ran'),)


def test_a_dump_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r'error: a\.pkl cannot be read'):
        run(monkeypatch, dump(Path('a.pkl'), extra=Hostile()))
    assert not Path('ran').exists()
