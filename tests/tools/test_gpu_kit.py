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
    python = folder / 'python'
    python.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && exit {0 if gpu else 1}\necho "$@"\n[ "$2" != pytest ]\n'
    )
    python.chmod(0o755)
    return python


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)


@pytest.mark.skipif(not shutil.which('make'), reason='needs make')
def test_one_line_without_a_gpu(tmp_path: Path) -> None:
    python = make_python(tmp_path, gpu=False)
    done = run('make', '--no-print-directory', 'gpu', f'PYTHON={python}')
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.startswith('no GPU: ') and done.stdout.count('\n') == 1


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
