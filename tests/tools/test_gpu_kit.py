"""``make gpu``: one line without a GPU; with one, the tests and then the table."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.scripts import PROJECT

MARKED = ('on_devices', 'mark.gpu')


def make_python(folder: Path, *, gpu: bool) -> Path:
    """A python that sees a GPU or none, and says what it is asked to run; its tests fail."""
    seen = 'exit 0' if gpu else f'cat {folder / "said"} >&2; exit 1'
    (folder / 'said').touch()
    return write_command(
        folder / 'python', f'[ "$1" = -c ] && {{ {seen}; }}\necho "$@"\n[ "$2" != pytest ]'
    )


def write_command(path: Path, script: str) -> Path:
    path.write_text(f'#!/bin/sh\n{script}\n')
    path.chmod(0o755)
    return path


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, env=env)


def path_with_devices(folder: Path, *, here: bool) -> str:
    """A PATH whose ``ls`` finds the devices of GPUs, or none."""
    write_command(folder / 'ls', 'true' if here else 'false')
    return f'{folder}{os.pathsep}{os.environ["PATH"]}'


@pytest.mark.skipif(not shutil.which('make'), reason='needs make')
def test_one_line_without_a_gpu(tmp_path: Path) -> None:
    python = make_python(tmp_path, gpu=False)
    path = path_with_devices(tmp_path, here=False)
    done = run('make', '--no-print-directory', 'gpu', f'PYTHON={python}', PATH=path)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.startswith('no GPU: ') and done.stdout.count('\n') == 1


WARNED = """/lib/torch/cuda/__init__.py:1: UserWarning: CUDA initialization: the driver is too old
  return torch._C._cuda_getDeviceCount() > 0
"""
FAILED = """Traceback (most recent call last):
  File "<string>", line 1, in <module>
ModuleNotFoundError: No module named 'torch'
"""


@pytest.mark.parametrize(
    ('said', 'reason'),
    [
        (WARNED, 'CUDA initialization: the driver is too old'),
        (FAILED, "ModuleNotFoundError: No module named 'torch'"),
    ],
)
def test_why_no_gpu_is_seen(said: str, reason: str, tmp_path: Path) -> None:
    """Where the machine has one, it is an error."""
    python = make_python(tmp_path, gpu=False)
    (tmp_path / 'said').write_text(said)
    kit = 'bash', 'tools/gpu_kit.sh', python
    done = run(*kit, PATH=path_with_devices(tmp_path, here=False))
    assert (done.returncode, done.stderr) == (0, '')
    assert f'sees one ({reason}), so' in done.stdout and done.stdout.count('\n') == 1
    path = path_with_devices(tmp_path, here=True)
    assert run(*kit, PATH=path, CUDA_VISIBLE_DEVICES='').returncode == 0  # hidden on purpose
    done = run(*kit, PATH=path)
    assert (done.returncode, done.stdout) == (1, '')
    assert done.stderr == (
        f'error: this machine has a GPU, but {python} has no PyTorch that sees it: {reason}\n'
    )


def test_the_tests_and_the_table(tmp_path: Path) -> None:
    python = make_python(tmp_path, gpu=True)
    done = run('bash', 'tools/gpu_kit.sh', python, 'all', 'a.py', 'b.py')
    assert done.returncode == 1  # the tests failed, and the table is made all the same
    tests, table, where = done.stdout.splitlines()
    files = tests.partition('-W default ')[2].split()
    assert tests.startswith('-m pytest -m gpu ')
    assert {file for file in files if file.startswith('tests/gpu/')} and 'systems.csv' in where
    for file in files:
        assert any(mark in (PROJECT / file).read_text() for mark in MARKED)
    assert table.startswith('tools/benchmark.py a.py b.py --device cuda --precision bf16 --beside')


@pytest.mark.parametrize(
    ('part', 'wanted'), [('tests', '-m pytest'), ('benchmark', 'tools/benchmark.py --device cuda')]
)
def test_one_part(part: str, wanted: str, tmp_path: Path) -> None:
    python = make_python(tmp_path, gpu=True)
    first, *rest = run('bash', 'tools/gpu_kit.sh', python, part).stdout.splitlines()
    assert first.startswith(wanted) and len(rest) == (part == 'benchmark')


def test_no_such_part() -> None:
    done = run('bash', 'tools/gpu_kit.sh', os.devnull, 'test')
    assert (done.returncode, done.stderr) == (1, 'error: test: expected tests or benchmark\n')
