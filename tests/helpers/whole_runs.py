"""Whole runs of commands, in this process or in one of their own."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import mmaction
import pytest
from helpers.scripts import PROJECT, script

from mmstan.config.paths import default_work_dir

STOCK = Path(mmaction.__file__).parent / '.mim'


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command; its output, or a failed test that shows it."""
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    environment = os.environ | {'PYTHONPATH': str(PROJECT), 'OMP_NUM_THREADS': '1', 'PATH': path}
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-6000:]
    return result.stdout


def run_stock(name: str, *arguments: str | Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MMAction2's ``tools/NAME.py`` in this process, where mmstan is imported already."""
    tool = str(STOCK / f'tools/{name}.py')
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
    runpy.run_path(tool, run_name='__main__')


def scalars(work_dir: Path) -> list[dict]:
    """What the run logged, a dict a line, all its parts in order."""
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def train_tiny(config: str, shapes: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``tools/train.py CONFIG --tiny`` in ``folder`` and in this process; the work dir."""
    (folder / 'data').mkdir()
    (folder / 'data/moving_shapes').symlink_to(shapes)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, 'argv', ['train.py', str(PROJECT / 'configs' / config), '--tiny'])
    script('train').main()
    return folder / f'{default_work_dir(PROJECT / "configs" / config)}_tiny'
