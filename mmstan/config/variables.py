"""Variables of a config file; reading the file copies their values to their uses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmstan.config.places import RUNNER_KEYS
from mmstan.config.slips import find_slip
from mmstan.config.sources import read_own_sources
from mmstan.wording import name_a_few

# Keys with a simple value. A number or string under a name near another key, one with a dict or a
# list, is a variable and not a misspelled key.
_SIMPLE = frozenset((
    'load_from', 'resume', 'launcher', 'log_level', 'default_scope', 'experiment_name', 'work_dir',
    'sync_bn', 'find_unused_parameters', 'runner_type', 'compile',
))  # fmt: skip
# Keys of MMAction2 0.x and of other trainers -> the key that has their task here.
_ELSEWHERE = {
    'seed': 'randomness.seed',
    'deterministic': 'randomness.deterministic',
    'cudnn_benchmark': 'env_cfg.cudnn_benchmark',
    'fp16': "optim_wrapper.type='AmpOptimWrapper' (--amp)",
    'batch_size': 'train_dataloader.batch_size',
    'max_epochs': 'train_cfg.max_epochs',
    'total_epochs': 'train_cfg.max_epochs',
    'val_interval': 'train_cfg.val_interval',
    'evaluation': 'train_cfg.val_interval and val_evaluator',
    'optimizer': 'optim_wrapper.optimizer',
    'optimizer_config': 'optim_wrapper.clip_grad',
    'lr_config': 'param_scheduler',
    'checkpoint_config': 'default_hooks.checkpoint',
    'log_config': 'default_hooks.logger',
}
_DUMPED = 10  # a dump has more keys, in the order of the alphabet
_COMMON = frozenset(('num', 'max', 'min', 'base', 'default', 'of', 'n', 'train', 'val', 'test'))


def find_uses(cfg: Mapping[str, Any], name: str, value: Any = None) -> list[str]:
    """Find the keys with values that seem to come from the variable ``name``.

    A path or a list counts where it is a whole value, a string also within a longer one. A number
    counts only under keys that share a word with the variable.

    Args:
        cfg: A config.
        name: The variable.
        value: The value of the variable when the keys were made, by default its present value.
    """
    value = to_plain(cfg[name] if value is None else value)
    read = {key: to_plain(node) for key, node in cfg.items() if key in RUNNER_KEYS}
    found = list(_find_equal(read, value, ''))
    if isinstance(value, str) and value:
        whole = re.compile(rf'(?<!\w){re.escape(value.rstrip("/"))}(?!\w)')
        found += [
            key for key, x in _visit_leaves(read, '') if isinstance(x, str) and whole.search(x)
        ]
    elif isinstance(value, (int, float)):
        words = set(name.split('_')) - _COMMON
        found = [key for key in found if words & set(re.split(r'[._]', key))]
    return list(dict.fromkeys(found))


def find_namesakes(cfg: Mapping[str, Any], name: str) -> list[str]:
    """Find the keys with the same name as a variable, of any value."""
    read = {key: to_plain(node) for key, node in cfg.items() if key in RUNNER_KEYS}
    return [key for key, _ in _visit_leaves(read, '') if key.split('.')[-1] == name]


def name_uses(uses: Sequence[str]) -> str:
    """Say which keys to set instead of a variable."""
    if not uses:
        return 'set the keys that were made of it (no key holds its value as it is)'
    return f'set the keys that hold its value now: {name_a_few(uses, most=6)}'


def is_read_by_own_code(cfg: Config, name: str) -> bool:
    """Whether a module of ``custom_imports`` reads ``runner.cfg.name``, or ``cfg.get('name')``."""
    read = re.compile(rf"""cfg(\.|\[['"]|\.get\(['"]){re.escape(name)}\b""")
    return any(read.search(source) for source in read_own_sources(cfg))


def check_top_level(cfg: Config) -> None:
    """Raise ValueError for an unused key that looks like a misspelled key of the runner.

    A config file may have variables of its own, also with similar names, as long as it uses them.
    """
    for name in cfg.keys() - RUNNER_KEYS:
        slip = find_slip(name, RUNNER_KEYS - cfg.keys()) or find_slip(name, RUNNER_KEYS)
        simple = not isinstance(cfg[name], (Mapping, list, tuple))
        if slip is None or (simple and slip not in _SIMPLE):
            continue
        if not _is_used(cfg, name):
            raise ValueError(
                f"{cfg.filename}: '{name}' is read by nothing; did you mean '{slip}'? (A variable "
                'of your own needs a name that is less like it)'
            )


def check_misplaced(cfg: Config) -> None:
    """Raise ValueError for a key at the top that has its place elsewhere, as ``seed``.

    Variables with such names are no error if the config uses them. A config that MMEngine dumped
    has lost their uses, and so has a pure-Python one with bases: these are not checked.
    """
    path = cfg.filename
    if not path or _is_dump(cfg.text) or (path.endswith('.py') and Config._is_lazy_import(path)):
        return
    for name in (name for name in _ELSEWHERE if name in cfg and not _is_used(cfg, name)):
        raise ValueError(
            f"{path}: '{name}' is read by nothing: set {_ELSEWHERE[name]} (or use it in the "
            'config, if it is a variable of your own)'
        )
    model, top = to_plain(cfg.get('model') or {}), to_plain(cfg.get('data_preprocessor'))
    if top is None or 'data_preprocessor' not in model:
        return
    if not list(_find_equal(model, top, '')) and not _is_named(cfg.text, 'data_preprocessor'):
        raise ValueError(
            f"{path}: 'data_preprocessor' is read by nothing, since the model has its own: set "
            'model.data_preprocessor'
        )


def _is_used(cfg: Config, name: str) -> bool:
    """Whether a variable is named in the config, is a value of a key, or is read by own code."""
    return bool(_is_named(cfg.text, name) or find_uses(cfg, name) or is_read_by_own_code(cfg, name))


def _is_dump(text: str) -> bool:
    names = re.findall(r'^(\w+) *=', text, re.MULTILINE)
    if '_base_' in names[1:]:  # a config whose base is a dump, which stands in front of it
        names = names[: names.index('_base_', 1)]
    return len(names) >= _DUMPED and names == sorted(names)


def _is_named(text: str, name: str) -> bool:
    """Whether a config's text has ``name`` anywhere but in its assignment."""
    code = re.sub(r'#.*', '', text)
    uses = re.findall(rf'\b{re.escape(name)}\b(?!\s*=(?!=))', code)
    return bool(uses)


def to_plain(node: Any) -> Any:
    """Convert a part of a config to plain dicts and lists, which compare by value."""
    if isinstance(node, Mapping):
        return {key: to_plain(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [to_plain(value) for value in node]
    return node


def _list_children(node: Any, where: str) -> Iterator[tuple[str, Any]]:
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        yield (f'{where}.{key}' if where else str(key)), value


def _find_equal(node: Any, value: Any, where: str) -> Iterator[str]:
    if isinstance(node, (dict, list)):
        for key, child in _list_children(node, where):
            if type(child) is type(value) and child == value and value not in ('', [], {}):
                yield key
            else:
                yield from _find_equal(child, value, key)


def _visit_leaves(node: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, (dict, list)):
        for key, child in _list_children(node, where):
            yield from _visit_leaves(child, key)
    else:
        yield where, node
