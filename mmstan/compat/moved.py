"""Import paths of 0.1 that pure-Python configs and scripts use; they warn, and end with 0.3."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_VIDEO_TEXT = ('activitynet', 'captions_json', 'didemo', 'lsmdc', 'msrvtt', 'msvd', 'vatex')
MODULES = {
    **{f'mmstan.datasets.{name}': f'mmstan.datasets.video_text.{name}' for name in _VIDEO_TEXT},
    'mmstan.datasets.transforms.readers': 'mmstan.datasets.readers.choose',
    'mmstan.models.temporal': 'mmstan.models.cross_frame',
}
"""Modules: old path -> new path."""


class _OldPaths(MetaPathFinder, Loader):
    """Answers an import of an old path with the module of the new path."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the spec of an old path; None for every other module."""
        return importlib.util.spec_from_loader(name, self) if name in MODULES else None

    def exec_module(self, module: ModuleType) -> None:
        """Replace the empty module that Python made by the new module."""
        old, new = module.__name__, MODULES[module.__name__]
        _warn(old, new)
        sys.modules[old] = importlib.import_module(new)


def import_moved_modules() -> bool:
    """Modules of mmstan 0.1 stay importable under their old paths, with a warning."""
    if any(isinstance(finder, _OldPaths) for finder in sys.meta_path):
        return False
    sys.meta_path.insert(0, _OldPaths())  # before folders of 0.1 that hold nothing but caches
    return True


def make_getattr(package: str) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a package from which classes moved to :mod:`mmstan.methods`.

    Args:
        package: The package that exported them.
    """

    def find(name: str) -> Any:
        registry = importlib.import_module('mmstan.registry').MODELS
        if name[:1].isupper():  # else Python looks for a sub-module, or __path__ and the like
            registry.import_from_location()
        cls = registry.module_dict.get(name)
        if cls is None or not cls.__module__.startswith('mmstan.methods.'):
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        _warn(f'{package}.{name}', '.'.join(cls.__module__.split('.')[:3]))
        return cls

    return find


def _warn(old: str, new: str) -> None:
    warnings.warn(
        f'{old} has moved to {new}; the old path ends with mmstan 0.3',
        DeprecationWarning,
        stacklevel=4,
    )
