"""The commands of ``tools/`` as modules; they are no package."""

import importlib.util
import runpy
import sys
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = Path(__file__).parents[2]
TOOLS = PROJECT / 'tools'


def script(name: str) -> ModuleType:
    """``tools/NAME.py``, a module of its own at every call."""
    module_name = 'tools_' + name.replace('/', '_')
    spec = importlib.util.spec_from_file_location(module_name, TOOLS / f'{name}.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))  # as where it is run as a script
        spec.loader.exec_module(module)
    return module


def convert(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """``tools/convert_checkpoint.py`` in this process."""
    tool = str(TOOLS / 'convert_checkpoint.py')
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
    runpy.run_path(tool, run_name='__main__')
