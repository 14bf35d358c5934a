"""``tools/benchmarks/chat.py`` on the tiny engine and on a given one."""

import sys
from pathlib import Path

import pytest
from helpers.scripts import script
from helpers.tiny_chat import make_branch, save_branch, save_tiny_engine


@pytest.mark.parametrize('given', [False, True])
def test_speed_and_memory_are_printed(
    given: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ['--frames', '2', '--new-tokens', '3', '--repeats', '1']
    if given:
        engine = save_tiny_engine(tmp_path / 'engine')
        branch = save_branch(tmp_path / 'stan.pth', make_branch())
        options = [str(engine), '--branch', str(branch), *options]
    monkeypatch.setattr(sys, 'argv', ['chat.py', *options])
    script('benchmarks/chat').main()
    row = capsys.readouterr().out.splitlines()[-1]
    name, tokens, encode, speed, weights, _ = (cell.strip() for cell in row.strip('|').split('|'))
    assert name == (str(tmp_path / 'engine') if given else 'tiny, random')
    assert tokens == '16'
    assert float(encode) > 0 and float(speed) > 0 and float(weights) > 1
