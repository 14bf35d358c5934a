import doctest
import importlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / 'mmstan'
MODULES = sorted(
    '.'.join(path.relative_to(PACKAGE.parent).with_suffix('').parts)
    for path in PACKAGE.rglob('*.py')
    if '.mim' not in path.parts and '>>> ' in path.read_text('utf-8')
)


@pytest.mark.parametrize('name', MODULES)
def test_examples_of_docstrings_run(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0
