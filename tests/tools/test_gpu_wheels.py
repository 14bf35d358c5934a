"""A folder of wheels and what a machine with PyTorch has are all that mmstan needs."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from helpers.scripts import PROJECT, TOOLS
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SCRIPT = TOOLS / 'gpu_wheels.sh'
# Not on that machine: videos are read by PyAV, and any OpenCV will do. PyTorch has its own needs.
LEFT_OUT = {'decord', 'opencv-python', 'opencv-contrib-python'}
ENDS = {'torch', 'torchvision', 'huggingface-hub', 'matplotlib', *LEFT_OUT}


def read_list(name: str) -> set[str]:
    """The packages of a list in the script."""
    found = re.search(rf'^{name}=\((.*?)\)', SCRIPT.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return {canonicalize_name(word) for word in found[1].split()}


def follow(packages: list[str]) -> set[str]:
    """The packages and all that they need, as installed here."""
    todo, found = [canonicalize_name(name) for name in packages], set()
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        for line in [] if name in ENDS else requires(name) or []:
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate(dict(extra='')):
                todo.append(canonicalize_name(need.name))
    return found


def test_nothing_is_missing() -> None:
    lines = [
        line
        for name in ('requirements.txt', 'requirements/lite.txt')
        for line in (TOOLS.parent / name).read_text().splitlines()
        if line and not line.startswith('#')
    ]
    needed = follow([*(Requirement(line).name for line in lines), 'pytest']) - LEFT_OUT
    there = read_list('THERE') | read_list('WHEELS')
    assert needed - there == set()
    # Nothing that is not needed either.
    assert read_list('WHEELS') - needed == set()


def list_imports(path: Path) -> Iterator[str]:
    """Modules that are imported where a file is imported, its helpers' and conftests' too."""
    todo, seen = [path, *(folder / 'conftest.py' for folder in path.parents)], set()
    while todo:
        path = todo.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        for node in ast.parse(path.read_text('utf-8')).body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                module = str(node.module)
                names = (
                    [f'{module}.{x.name}' for x in node.names] if module == 'helpers' else [module]
                )
            todo += [
                PROJECT / 'tests' / f'{name.replace(".", "/")}.py'
                for name in names
                if name.startswith('helpers.')
            ]
            yield from (name.partition('.')[0] for name in names)


def test_the_kit_s_tests_import_nothing_else() -> None:
    """Or none of them would run: pytest stops at a file that it cannot import."""
    marks = 'on_devices', 'mark.gpu'  # as tools/gpu_kit.sh finds them
    files = [
        path
        for path in (PROJECT / 'tests').rglob('test_*.py')
        if any(mark in path.read_text('utf-8') for mark in marks)
    ]
    assert len(files) >= 8
    there = read_list('THERE') | read_list('WHEELS')
    known = {'mmstan', 'helpers', *sys.stdlib_module_names}
    packages = packages_distributions()
    for path in files:
        for module in set(list_imports(path)) - known:
            assert there & {canonicalize_name(name) for name in packages[module]}, (path, module)


@pytest.mark.parametrize('arguments', [[], ['folder'], ['folder', '--python']])
def test_usage(arguments: list[str]) -> None:
    done = subprocess.run(['bash', SCRIPT, *arguments], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout.startswith('bash tools/gpu_wheels.sh FOLDER')


def run_with_pip(folder: Path, python: str, *, kilobytes: int) -> subprocess.CompletedProcess[str]:
    """The script with a pip that writes one wheel of a size."""
    pip = folder / 'python'
    pip.write_text(
        '#!/bin/bash\n'
        'echo "$*" > "$TARGET/asked"\n'
        f'head -c {kilobytes}000 /dev/zero > "$TARGET/a.whl"\n'
    )
    pip.chmod(0o755)
    environment = dict(
        PATH=f'{folder}{os.pathsep}{os.environ["PATH"]}',
        VIRTUAL_ENV=str(folder),
        TARGET=str(folder / 'wheels'),
    )
    command = ['bash', SCRIPT, folder / 'wheels', '--python', python]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_wheels_of_another_python(tmp_path: Path) -> None:
    done = run_with_pip(tmp_path, '3.12', kilobytes=2000)
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / 'wheels/asked').read_text()
    assert '--no-deps --only-binary=:all:' in asked and '--python-version 3.12 ' in asked
    assert '1 wheels, 2 MB, for Python 3.12' in done.stdout
    assert 'torch torchvision' in done.stdout and ' torch ' not in asked


@pytest.mark.parametrize(
    ('python', 'kilobytes', 'message'),
    [('three', 1, '--python three: expected two numbers'), ('3.12', 60_000, 'of 60 MB, expected')],
)
def test_errors(tmp_path: Path, python: str, kilobytes: int, message: str) -> None:
    done = run_with_pip(tmp_path, python, kilobytes=kilobytes)
    assert done.returncode == 1
    assert done.stderr.startswith('error: ') and message in done.stderr
    assert done.stderr.count('\n') == 1
