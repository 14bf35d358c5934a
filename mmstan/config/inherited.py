"""A check for variables of a ``_base_`` file that a config sets again, too late to matter."""

from __future__ import annotations

import ast
from pathlib import Path

from mmengine.config import Config

from mmstan.config.places import RUNNER_KEYS
from mmstan.config.variables import find_uses, is_read_by_own_code, name_uses, to_plain


def check_inherited(cfg: Config) -> None:
    """Raise ValueError for a variable that a config sets, but only its base uses.

    MMEngine reads a base to its end before the config that inherits it. So paths that the base
    made from ``data_root`` keep the old value. It is no error if the config uses the variable, or
    sets the keys that were made from it.
    """
    path = cfg.filename
    if not path or not path.endswith('.py') or not Path(path).exists():
        return
    own = set() if Config._is_lazy_import(path) else _list_own_variables(path) - RUNNER_KEYS
    for name in sorted(own & cfg.keys()):
        for base in Config._get_base_files(path):
            old = Config._file2dict(Config._get_cfg_path(base, path)[0])[0].get(name)
            uses = (
                []
                if old is None or to_plain(old) == to_plain(cfg[name])
                else find_uses(cfg, name, old)
            )
            if uses and not find_uses(cfg, name) and not is_read_by_own_code(cfg, name):
                raise ValueError(
                    f"{path}: '{name}' changes nothing, since the _base_ file that sets it first "
                    f'was read with {old!r}; {name_uses(uses)}'
                )


def _list_own_variables(path: str) -> set[str]:
    """List the names that a config file sets at its top and never reads."""
    tree = ast.parse(Path(path).read_text('utf-8'))
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    read = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    written = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return {name for name in written - read if not name.startswith('_')}
