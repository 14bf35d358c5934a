"""Variables of a config file, which are copied to where they are used while the file is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmstan.config.places import RUNNER_KEYS
from mmstan.config.slips import find_slip
from mmstan.config.sources import read_own_sources
from mmstan.wording import name_a_few

# Keys whose value is no dict and no list; a variable that is near one of the others and is a
# number or a string was not meant to be it.
_SIMPLE = frozenset((
    'load_from', 'resume', 'launcher', 'log_level', 'default_scope', 'experiment_name', 'work_dir',
    'sync_bn', 'find_unused_parameters', 'runner_type', 'compile',
))  # fmt: skip
_COMMON = frozenset(('num', 'max', 'min', 'base', 'default', 'of', 'n', 'train', 'val', 'test'))


def find_uses(cfg: Mapping[str, Any], name: str, value: Any = None) -> list[str]:
    """The keys whose values come from the variable ``name``, as far as can be told.

    A path or a list is looked for as it is and within longer strings; a number under keys that
    share a word with the variable.

    Args:
        cfg: A config.
        name: The variable.
        value: What it was when they were made, by default what it is.
    """
    value = plain(cfg[name] if value is None else value)
    read = {key: plain(node) for key, node in cfg.items() if key in RUNNER_KEYS}
    found = list(_equal(read, value, ''))
    if isinstance(value, str) and value:
        whole = re.compile(rf'(?<!\w){re.escape(value.rstrip("/"))}(?!\w)')
        found += [key for key, x in _leaves(read, '') if isinstance(x, str) and whole.search(x)]
    elif isinstance(value, (int, float)):
        words = set(name.split('_')) - _COMMON
        found = [key for key in found if words & set(re.split(r'[._]', key))]
    return list(dict.fromkeys(found))


def find_namesakes(cfg: Mapping[str, Any], name: str) -> list[str]:
    """The keys that are called as a variable is, whatever their values."""
    read = {key: plain(node) for key, node in cfg.items() if key in RUNNER_KEYS}
    return [key for key, _ in _leaves(read, '') if key.split('.')[-1] == name]


def name_uses(uses: Sequence[str]) -> str:
    """Which keys to set instead of a variable."""
    if not uses:
        return 'set the keys that were made of it (no key holds its value as it is)'
    return f'set the keys that hold its value now: {name_a_few(uses, most=6)}'


def is_read_by_own_code(cfg: Config, name: str) -> bool:
    """Whether a module of ``custom_imports`` reads ``runner.cfg.name``, or ``cfg.get('name')``."""
    read = re.compile(rf"""cfg(\.|\[['"]|\.get\(['"]){re.escape(name)}\b""")
    return any(read.search(source) for source in read_own_sources(cfg))


def check_top_level(cfg: Config) -> None:
    """Raise ValueError for a key that was meant to be one of the runner's and is used for nothing.

    A config file may have variables of its own, near a name of the runner or not.
    """
    for name in cfg.keys() - RUNNER_KEYS:
        slip = find_slip(name, RUNNER_KEYS - cfg.keys()) or find_slip(name, RUNNER_KEYS)
        simple = not isinstance(cfg[name], (Mapping, list, tuple))
        if slip is None or (simple and slip not in _SIMPLE):
            continue
        used = _is_named(cfg.text, name) or find_uses(cfg, name) or is_read_by_own_code(cfg, name)
        if not used:
            raise ValueError(
                f"{cfg.filename}: '{name}' is read by nothing; did you mean '{slip}'? (A variable "
                'of your own needs a name that is less like it)'
            )


def _is_named(text: str, name: str) -> bool:
    """Whether a config's text speaks of ``name`` otherwise than to set it."""
    code = re.sub(r'#.*', '', text)
    uses = re.findall(rf'\b{re.escape(name)}\b(?!\s*=(?!=))', code)
    return bool(uses)


def plain(node: Any) -> Any:
    """A part of a config as plain dicts and lists, whose values compare by what they are."""
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [plain(value) for value in node]
    return node


def _children(node: Any, where: str) -> Iterator[tuple[str, Any]]:
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        yield (f'{where}.{key}' if where else str(key)), value


def _equal(node: Any, value: Any, where: str) -> Iterator[str]:
    if isinstance(node, (dict, list)):
        for key, child in _children(node, where):
            if type(child) is type(value) and child == value and value not in ('', [], {}):
                yield key
            else:
                yield from _equal(child, value, key)


def _leaves(node: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, (dict, list)):
        for key, child in _children(node, where):
            yield from _leaves(child, key)
    else:
        yield where, node
