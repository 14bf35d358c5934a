"""``tools/curves.py`` on files as MMEngine writes them."""

import json
import os
import sys
from pathlib import Path

import pytest
from helpers.scripts import script

from mmstan.visualization import find_scalars, read_curves

LINES = [
    dict(lr=1e-3, loss=4.0, loss_cls=4.0, time=0.1, epoch=1, iter=10, step=10),
    dict(lr=1e-4, loss=float('nan'), loss_cls=2.0, time=0.1, epoch=1, iter=20, step=20),
    {'acc/top1': 0.5, 'time': 0.2, 'step': 1},
    dict(lr=1e-5, loss=1.0, loss_cls=1.0, time=0.1, epoch=2, iter=30, step=30),
    {'acc/top1': 0.75, 'time': 0.2, 'step': 2},
]


def write(folder: Path, name: str = 'first', lines: list[dict] = LINES) -> Path:
    path = folder / name / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return path


def run(monkeypatch: pytest.MonkeyPatch, *options: object) -> None:
    monkeypatch.setattr(sys, 'argv', ['curves', *map(str, options)])
    script('curves').main()


def test_points_are_at_their_iteration(tmp_path: Path) -> None:
    curves = read_curves(write(tmp_path))
    assert list(curves) == ['lr', 'loss', 'loss_cls', 'acc/top1']
    assert curves['loss_cls'] == [(10, 4.0), (20, 2.0), (30, 1.0)]
    assert curves['acc/top1'] == [(20, 0.5), (30, 0.75)]
    assert len(curves['loss']) == 3  # the NaN is a gap in the curve


def test_the_newest_run_of_a_work_dir_is_read(tmp_path: Path) -> None:
    new, old = write(tmp_path, 'a'), write(tmp_path, 'b')
    os.utime(old, (1, 1))
    assert find_scalars(tmp_path) == new
    assert find_scalars(old) == old


def test_runs_in_one_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / 'a')
    write(tmp_path / 'b', lines=LINES[:1])
    out = tmp_path / 'pictures/curves.png'
    run(monkeypatch, tmp_path / 'a', tmp_path / 'b', '--names', 'long', 'short', '--out', out)
    assert capsys.readouterr().out == f'{out}: lr, loss, acc/top1\n'
    assert out.read_bytes().startswith(b'\x89PNG')
    run(monkeypatch, tmp_path / 'a', '--scalars', 'loss_cls', '--out', out)
    assert capsys.readouterr().out == f'{out}: loss_cls\n'


@pytest.mark.parametrize('options', [['a', 'b', '--names', 'stan', 'stan'], ['stan', 'stan']])
def test_two_runs_have_two_names(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, *options)
    assert 'stan stan: each run needs a name of its own; give --names' in capsys.readouterr().err


def test_errors_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r'no scalars\.json is there; give the work dir'):
        run(monkeypatch, tmp_path)
    path = write(tmp_path)
    with pytest.raises(SystemExit, match="no run has 'los'; there are: lr, loss, loss_cls"):
        run(monkeypatch, path, '--scalars', 'los')
    path.write_text('{"loss": 1, "iter": 1}\n{"loss": ')
    with pytest.raises(SystemExit, match=r'scalars\.json, line 2: a JSON object was expected'):
        run(monkeypatch, path)
    path.write_text('')
    with pytest.raises(SystemExit, match='there is nothing to draw'):
        run(monkeypatch, path)
