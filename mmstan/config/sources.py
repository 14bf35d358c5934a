"""The user's own modules that a config imports."""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

from mmstan import registry


def list_custom_imports(cfg: Config) -> list[str]:
    """List the modules in a config's ``custom_imports``."""
    imports = (cfg.get('custom_imports') or {}).get('imports', [])
    return [imports] if isinstance(imports, str) else list(imports)


def read_own_sources(cfg: Config) -> list[str]:
    """Read the sources of the user's modules in ``custom_imports``, and of their imports.

    A result depends on these sources as well as on the config, so both are compared. Modules of
    mmstan and installed modules do not count.
    """
    found: dict[Path, str] = {}
    waiting = list_custom_imports(cfg)  # which Config.fromfile has imported
    while waiting:
        module = sys.modules.get(waiting.pop())
        path = Path(getattr(module, '__file__', None) or '')
        if module is not None and path not in found and _is_of_user(path):
            found[path] = path.read_text('utf-8')
            waiting += _list_imports(found[path], module.__package__ or '')
    return [found[path] for path in sorted(found)]


def _is_of_user(path: Path) -> bool:
    installed = {Path(sysconfig.get_path('stdlib')), Path(registry.__file__).parent}
    packages = {'site-packages', 'dist-packages'}
    return path.suffix == '.py' and not (installed & {*path.parents} or packages & {*path.parts})


def _list_imports(source: str, package: str) -> Iterator[str]:
    """Give names in the imports of a module of ``package``; each may be a module or its member.

    >>> sorted(_list_imports('from .part import x', 'own'))
    ['own', 'own.part', 'own.part.x']
    """
    yield package
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # One dot is the package itself, each further dot one package up.
            parents = package.split('.')[: 1 - node.level or None] if node.level else []
            base = '.'.join([*parents, *([node.module] if node.module else [])])
            yield from (base, *(f'{base}.{alias.name}' for alias in node.names))
