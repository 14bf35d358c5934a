"""The site: what its pages fetch, and what of the API they have."""

import importlib
import re
import runpy
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
pytest.importorskip('sphinx')
CHECKS = runpy.run_path(str(PROJECT / 'docs/site_checks.py'))
API = '\n'.join(path.read_text('utf-8') for path in PROJECT.glob('docs/api/*.md'))
PACKAGES = sorted(
    '.'.join(path.parent.relative_to(PROJECT).parts)
    for path in PROJECT.glob('mmstan/**/__init__.py')
    if '.mim' not in path.parts and '__all__' in path.read_text('utf-8')
)


@pytest.fixture(scope='module')
def names() -> dict[str, object]:
    return CHECKS['list_public_names']()


@pytest.mark.parametrize('package', PACKAGES)
def test_public_names_are_on_a_page(package: str, names: dict[str, object]) -> None:
    """Every package has a page, or its names are another one's; the build compares each name."""
    shown = re.findall(r'^\.\. automodule:: (\S+)', API, re.MULTILINE)
    assert len(shown) == len(set(shown))
    pages = {
        f'{module}.{name}'
        for module in shown
        for name in vars(importlib.import_module(module))
        if not name.startswith('_')
    }
    own = {name: value for name, value in names.items() if name.rpartition('.')[0] == package}
    missing = set(CHECKS['find_undocumented'](names, pages)) & set(own) - set(shown)
    assert own and not missing, 'write `.. automodule::` on a page of docs/api'


def test_a_name_without_a_page_is_found(names: dict[str, object]) -> None:
    others = set(names) - {'mmstan.models.towers.Block', 'mmstan.load'}
    assert CHECKS['find_undocumented'](names, set(names)) == []
    assert CHECKS['find_undocumented'](names, others) == [
        'mmstan.load',
        'mmstan.models.towers.Block',
    ]
    # Another package exports it too.
    assert CHECKS['find_undocumented'](names, set(names) - {'mmstan.models.ImageTower'}) == []


@pytest.mark.parametrize(
    ('text', 'found'),
    [
        ('<a href="https://a.test">a click</a><img src="../b.png">', []),
        ('<script async src="https://a.test/x.js"></script>', ['https://a.test/x.js']),
        ('<link rel="stylesheet" href="//a.test/x.css"/>', ['//a.test/x.css']),
        ('<link rel="stylesheet" href="_static/x.css"/><iframe src="#b">', []),
        ('<img alt="b" src="http://a.test/b.png"/>', ['http://a.test/b.png']),
        ('@import url("https://a.test/font.css");', ['https://a.test/font.css']),
        ('a { background: url(data:image/png;base64,iVBOR) }', []),
    ],
)
def test_outside_requests_are_found(text: str, found: list[str]) -> None:
    assert CHECKS['find_outside_requests'](text) == found


def test_the_build_refuses_them() -> None:
    """``make lint`` builds the site with this extension, and a warning fails."""
    assert "'site_checks'" in (PROJECT / 'docs/conf.py').read_text('utf-8')
    makefile = (PROJECT / 'Makefile').read_text('utf-8')
    assert re.search(r'^lint: .*\bdocs\b', makefile, re.MULTILINE)
    assert '--fail-on-warning' in makefile
