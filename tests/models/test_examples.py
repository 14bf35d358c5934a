import doctest
import importlib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
MODULES = sorted(
    '.'.join(path.relative_to(PROJECT).with_suffix('').parts)
    for path in [PROJECT / 'mmstan/config.py', *(PROJECT / 'mmstan/models').rglob('*.py')]
    if '>>> ' in path.read_text('utf-8')
)


@pytest.mark.parametrize('name', MODULES)
def test_examples_of_docstrings_run(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0
