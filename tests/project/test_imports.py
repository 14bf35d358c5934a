"""A folder imports only those before it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / 'mmstan'
# The order in which the folders may know each other; what is missing here may know everything.
ORDER = [
    'mmstan.wording',
    'mmstan.compat',
    'mmstan.text_files',
    'mmstan.registry',
    'mmstan.converters',
    'mmstan.models.features',
    'mmstan.models.micro_batches',
    'mmstan.models.sizes',
    'mmstan.models.layers',
    'mmstan.models.towers',
    'mmstan.models.cross_frame',
    'mmstan.models.backbones',
    'mmstan.models.necks',
    'mmstan.models.interactions',
    'mmstan.models.losses',
    'mmstan.models.heads',
    'mmstan.models.detection',
    'mmstan.models.video_text',
    'mmstan.methods',
    'mmstan.datasets',
    'mmstan.evaluation',
    'mmstan.visualization',
    'mmstan.engine',
    'mmstan.config',
    'mmstan.benchmark',
    'mmstan.prepare',
    'mmstan.apis',
    'mmstan.chat',
]
FILES = [str(path.relative_to(PACKAGE.parent)) for path in sorted(PACKAGE.rglob('*.py'))]
FILES = [name for name in FILES if '.mim' not in name]


def place(module: str) -> int | None:
    found = (i for i, name in enumerate(ORDER) if f'{module}.'.startswith(f'{name}.'))
    return next(found, None)


def imported(tree: ast.Module) -> set[str]:
    """All modules that a file names in its imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, 'imports are absolute'
            names |= {f'{node.module}.{alias.name}' for alias in node.names}
    return names


@pytest.mark.parametrize('name', FILES)
def test_a_folder_imports_those_before_it(name: str) -> None:
    module = name.removesuffix('.py').removesuffix('/__init__').replace('/', '.')
    names = imported(ast.parse((PACKAGE.parent / name).read_text('utf-8')))
    assert not [other for other in names if other.split('.')[0] in ('tools', 'configs', 'tests')]
    own = place(module)
    for other in sorted(names - {'mmstan.__version__'}):
        other_place = place(other)
        if own is not None and other.split('.')[0] == 'mmstan':
            assert other_place is not None, f'{module} imports {other}, which stands above it'
            assert other_place <= own, f'{module} imports {other}, which comes after it'


def test_every_folder_has_its_place() -> None:
    folders = {str(path.parent.relative_to(PACKAGE.parent)) for path in PACKAGE.rglob('*.py')}
    folders = {name.replace('/', '.') for name in folders if '.mim' not in name}
    assert {name for name in folders if place(name) is None} == {'mmstan', 'mmstan.models'}
