"""A released checkpoint becomes a folder that loads anywhere."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from apis.conftest import Files
from helpers.scripts import script

import mmstan

pytest_plugins = ['apis.conftest']


def test_a_released_checkpoint_as_a_package(
    tiny_files: Callable[[str], Files],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config, checkpoint = tiny_files('stan/k400_b16')
    convert = script('convert_checkpoint').main
    released, folder = tmp_path / 'released.pth', tmp_path / 'package'
    text = ['--text-tower', 'cls_head.texts.tower.']
    monkeypatch.setattr('sys.argv', ['x', 'stan', checkpoint, str(released), '--reverse', *text])
    convert()
    argv = ['x', 'stan', str(released), str(folder), '--package', '--config', config]
    monkeypatch.setattr('sys.argv', argv)
    convert()
    assert capsys.readouterr().out.strip().endswith(f'-> {folder}')
    loaded = mmstan.load(folder, device='cpu')
    wanted = mmstan.load(config, checkpoint, device='cpu')
    for name, value in wanted.model.state_dict().items():
        assert torch.equal(value, loaded.model.state_dict()[name]), name


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['llava_v1', 'a', 'b', '--reverse'], 'llava_v1 has no --reverse'),
        (['stan', 'a.pth', 'b.pth', '--vision', 'c'], 'stan has no --vision'),
        (['stan', 'a.pth', 'b.pth', '--class-names', 'c'], '--class-names is an option of'),
    ],
)
def test_options_that_would_do_nothing(
    options: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr('sys.argv', ['x', *options])
    with pytest.raises(SystemExit):
        script('convert_checkpoint').main()
    assert message in capsys.readouterr().err


def test_a_package_needs_its_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('sys.argv', ['x', 'stan', 'a.pth', 'out', '--package'])
    with pytest.raises(SystemExit):
        script('convert_checkpoint').main()
