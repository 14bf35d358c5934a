"""Tools' own lists of folders to leave out have names that are ours, such as ``dist``."""

from fnmatch import fnmatch
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def test_pytest_leaves_no_folder_of_tests_out(pytestconfig: pytest.Config) -> None:
    folders = {path.parent for path in TESTS.rglob('test_*.py')}
    names = {name for folder in folders for name in folder.relative_to(TESTS.parent).parts}
    assert {'methods', 'dist', 'project'} < names
    left_out = pytestconfig.getini('norecursedirs')
    assert not [name for name in names if any(fnmatch(name, pattern) for pattern in left_out)]
