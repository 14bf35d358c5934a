"""The cost of AVA's mAP, on a test set of a few key frames."""

import ast

import pytest
from helpers.scripts import script


def test_figures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    options = ['--frames', '12', '--boxes', '2', '--classes', '5']
    monkeypatch.setattr('sys.argv', ['detection_metric.py', *options])
    script('benchmarks/detection_metric').main()
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith('12 frames, 24 boxes, 5 classes: ')
    assert said[-1].endswith(' GB before')
    score = ast.literal_eval(said[-2])[
        'mAP'
    ]  # every person has a score for each action: some are right
    assert 0 < score < 1
