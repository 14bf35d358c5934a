"""What is installed is what git has, whichever way it is installed."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from mmengine.fileio import load

import mmstan

ROOT = Path(__file__).parents[2]
PIP = [sys.executable, '-m', 'pip', '--disable-pip-version-check', '--quiet']
OFFLINE = ['--no-deps', '--no-build-isolation', '--no-index', '--no-cache-dir']


def tracked() -> list[PurePosixPath]:
    """Files that git knows and the working tree still has."""
    if not (ROOT / '.git').exists():
        pytest.skip('compares with git, and this is not a checkout')
    command = ['git', 'ls-files', '-z']
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [PurePosixPath(name) for name in names.split('\0') if name and (ROOT / name).exists()]


def expected() -> set[str]:
    """What an installed mmstan has: its own files, and configs, tools and model index in .mim."""
    names = set()
    for path in tracked():
        if path.parts[0] in ('configs', 'tools', 'model-index.yml'):
            names.add(f'mmstan/.mim/{path}')
        elif path.parts[0] == 'mmstan':
            names.add(str(path))
    return names


def run(*command: str | Path, cwd: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def installed_files(folder: Path) -> set[str]:
    """Files below ``folder/mmstan``, through links, without what Python compiled."""
    found = set()
    for directory, _, names in os.walk(folder / 'mmstan', followlinks=True):
        if '__pycache__' not in directory:
            found |= {str((Path(directory) / name).relative_to(folder)) for name in names}
    return found


def test_the_first_page_lists_every_extra() -> None:
    project = (ROOT / 'pyproject.toml').read_text('utf-8')
    section = project.split('[tool.setuptools.dynamic.optional-dependencies]')[1].split('\n[')[0]
    page = (ROOT / 'docs/start.md').read_text('utf-8')
    extras = re.findall(r'^(\w+) = ', section, re.MULTILINE)
    assert sorted(re.findall(r'^\| `(\w+)` \|', page, re.MULTILINE)) == sorted(extras)


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tracked files; building in the checkout would pick up stale ones."""
    folder = tmp_path_factory.mktemp('source')
    for path in tracked():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, folder / path)
    return folder


@pytest.fixture(scope='module')
def sdist(source: Path) -> Path:
    build = 'import setuptools.build_meta as backend; backend.build_sdist("sdist")'
    run(sys.executable, '-W', 'ignore', '-c', build, cwd=source)
    return next((source / 'sdist').glob('mmstan-*.tar.gz'))


@pytest.mark.parametrize('origin', ['checkout', 'sdist'])
def test_an_installed_wheel_has_what_git_has(
    request: pytest.FixtureRequest, tmp_path: Path, origin: str
) -> None:
    package = request.getfixturevalue('source' if origin == 'checkout' else 'sdist')
    run(*PIP, 'wheel', *OFFLINE, '-w', tmp_path, package, cwd=tmp_path)
    wheel = next(tmp_path.glob(f'mmstan-{mmstan.__version__}-py3-none-any.whl'))
    run(*PIP, 'install', *OFFLINE, '--target', tmp_path / 'site', wheel, cwd=tmp_path)
    assert installed_files(tmp_path / 'site') == expected()
    with zipfile.ZipFile(wheel) as archive:
        info = f'mmstan-{mmstan.__version__}.dist-info'
        assert archive.read(f'{info}/top_level.txt').split() == [b'mmstan']
        metadata = archive.read(f'{info}/METADATA').decode().splitlines()
    needs = [line.removeprefix('Requires-Dist: ') for line in metadata if 'Requires-Dist' in line]
    assert not [need for need in needs if need.startswith('mmcv') and 'extra ==' not in need]
    assert {'lite', 'test', 'all'} <= {line.split()[-1] for line in metadata if 'Extra:' in line}


def test_the_sdist_has_all_of_git(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in archive.getnames()}
    assert {str(path) for path in tracked()} <= names


def test_an_editable_install_links_to_the_checkout(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / 'checkout'
    shutil.copytree(source, copy)
    run(*PIP, 'install', *OFFLINE, '--target', tmp_path / 'site', '--editable', '.', cwd=copy)
    assert (copy / 'mmstan' / '.mim' / 'model-index.yml').is_symlink()
    assert installed_files(copy) == expected()
    (copy / 'model-index.yml').write_text('Import: [changed]')
    assert 'changed' in (copy / 'mmstan' / '.mim' / 'model-index.yml').read_text()


def test_the_model_index_lists_every_metafile() -> None:
    listed = load(ROOT / 'model-index.yml')['Import']
    there = sorted(str(path) for path in tracked() if path.name == 'metafile.yml')
    assert listed == there, 'model-index.yml: write under Import exactly these, in this order'


def test_model_names_are_their_paths() -> None:
    names = []
    for metafile in load(ROOT / 'model-index.yml')['Import']:
        for model in load(ROOT / metafile)['Models']:
            config = ROOT / model['Config']
            assert config.is_file(), f'{metafile}: no such config {model["Config"]}'
            parts = [
                part for part in config.relative_to(ROOT / 'configs').parts if part != 'baselines'
            ]
            assert model['Name'] == '_'.join(parts).removesuffix('.py')
            names.append(model['Name'])
    assert len(names) == len(set(names))


def test_constraints_pin_every_requirement() -> None:
    def names(*files: str) -> set[str]:
        lines = '\n'.join((ROOT / file).read_text() for file in files).splitlines()
        bare = [line.split('#')[0].split(';')[0].strip() for line in lines]
        cut = [line.replace('>', '=').split('=')[0] for line in bare if line]
        return {name.lower().replace('_', '-') for name in cut}

    ranges = names('requirements.txt', *sorted(str(p) for p in ROOT.glob('requirements/*.txt')))
    assert ranges <= names('constraints.txt')


def test_the_version_can_be_read_without_importing() -> None:
    tree = ast.parse((ROOT / 'mmstan' / '__init__.py').read_text())
    literals = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert literals['__version__'] == mmstan.__version__
