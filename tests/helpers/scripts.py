"""The commands of ``tools/`` as modules; they are no package."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).parents[2] / 'tools'


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
