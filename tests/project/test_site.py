"""The site: what its pages fetch, and what of the API they have."""

import importlib
import re
import runpy
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
API = '\n'.join(path.read_text('utf-8') for path in PROJECT.glob('docs/api/*.md'))
DOCUMENTED = re.findall(r'^\.\. automodule:: (\S+)', API, re.MULTILINE)
PACKAGES = sorted(
    '.'.join(path.parent.relative_to(PROJECT).parts)
    for path in PROJECT.glob('mmstan/**/__init__.py')
    if '.mim' not in path.parts and '__all__' in path.read_text('utf-8')
)


def public(module: str) -> dict[str, object]:
    found = importlib.import_module(module)
    names = getattr(found, '__all__', [name for name in vars(found) if name[0] != '_'])
    return {name: getattr(found, name) for name in names}


@pytest.fixture(scope='module')
def on_pages() -> set[int]:
    return {id(value) for module in DOCUMENTED for value in public(module).values()}


@pytest.mark.parametrize('package', PACKAGES)
def test_public_names_are_on_a_page(package: str, on_pages: set[int]) -> None:
    """A name that several packages export is on the page of one of them."""
    known = {module.rpartition('.')[2] for module in DOCUMENTED}
    missing = [
        name
        for name, value in public(package).items()
        if id(value) not in on_pages and name not in known
    ]
    assert not missing, f'{package}: write `.. automodule::` on a page of docs/api'


def test_modules_are_on_one_page() -> None:
    assert len(DOCUMENTED) == len(set(DOCUMENTED))


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
    pytest.importorskip('sphinx')
    checks = runpy.run_path(str(PROJECT / 'docs/site_checks.py'))
    assert checks['find_outside_requests'](text) == found


def test_the_build_refuses_them() -> None:
    """``make lint`` builds the site with this extension, and a warning fails."""
    assert "'site_checks'" in (PROJECT / 'docs/conf.py').read_text('utf-8')
    makefile = (PROJECT / 'Makefile').read_text('utf-8')
    assert re.search(r'^lint: .*\bdocs\b', makefile, re.MULTILINE)
    assert '--fail-on-warning' in makefile
