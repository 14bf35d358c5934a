"""The command of the tables on Moving Shapes: which systems it runs, and their figures."""

import json
import sys
from pathlib import Path

import pytest
from helpers.scripts import script

from mmstan.benchmark import shapes_tables

tool = script('benchmarks/moving_shapes')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['recognition', '--systems', 'mug'], '--systems mug is none of recognition: name some of'),
        (['--systems', 'clip_mean'], '--systems clip_mean is none of misaligned'),
        (['misaligned', '--systems', 'mug', 'misaligned_mug'], '--systems misaligned_mug is none'),
        (['--report', '--systems', 'stan'], '--report shows all finished runs'),
    ],
)
def test_systems_that_a_task_does_not_have(
    options: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, 'argv', ['moving_shapes.py', *options])
    with pytest.raises(SystemExit):
        tool.parse_args()
    assert message in capsys.readouterr().err


def test_systems_of_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, 'argv', ['moving_shapes.py', 'misaligned', '--systems', 'mug'])
    args = tool.parse_args()
    assert (args.tasks, args.systems) == (['misaligned'], ['mug'])
    monkeypatch.setattr(sys, 'argv', ['moving_shapes.py', '--systems', 'stan'])
    assert tool.parse_args().tasks == ['recognition', 'misaligned']


def test_a_damaged_result_counts_as_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shapes_tables, 'OUT', tmp_path)
    for seed, text in enumerate(['', json.dumps({'top-1': 0.5})]):
        (tmp_path / f'stan_seed{seed}').mkdir()
        (tmp_path / f'stan_seed{seed}/result.json').write_text(text)
    assert shapes_tables.read_figures('stan', [0, 1, 2], 'top-1') == [None, 0.5, None]
