"""``--cfg-options``: settings of the command line; one without effect is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.utils import import_modules_from_strings

from mmstan.config.places import DEFAULT_HOOKS, META, find_keys
from mmstan.config.slips import find_slip, suggest
from mmstan.config.types import find_classes, list_known_names
from mmstan.config.variables import (
    find_namesakes,
    find_uses,
    is_read_by_own_code,
    name_uses,
    to_plain,
)
from mmstan.registry import type_name
from mmstan.wording import name_a_few

Options = Mapping[str, Any]


def merge_options(cfg: Config, options: Options | None) -> None:
    """Put ``options`` into ``cfg``.

    Args:
        cfg: A config; it is changed.
        options: Dotted key -> value, ``{'optim_wrapper.optimizer.lr': 1e-5}``.

    Raises:
        ValueError: An option would change nothing: its key is unknown, or it is a variable of the
            config file, and its value was copied to its uses when the file was read.
    """
    options = dict(options or {})
    _check_variables(cfg, options)
    for key, value in options.items():
        _check_option(cfg, options, key, value)
        _open_nones(cfg._cfg_dict, key.split('.'))
    for hook in {key.split('.')[1] for key in options if key.startswith('default_hooks.')}:
        if hook in DEFAULT_HOOKS and hook not in (cfg.get('default_hooks') or {}):
            kept = {f'default_hooks.{hook}.{k}': v for k, v in DEFAULT_HOOKS[hook].items()}
            options = kept | options
    cfg.merge_from_dict(options)
    if any(key.split('.')[0] == 'custom_imports' for key in options):
        import_modules_from_strings(**cfg.custom_imports)  # as where the file was read


def check_split_options(cfg: Config, options: Options | None) -> None:
    """Raise ValueError for an option that all of the ``test_splits`` override."""
    options = options or {}
    splits = options.get('test_splits', cfg.get('test_splits')) or {}
    for key in options:
        short = key.removeprefix('test_dataloader.dataset.')
        short = 'class_names' if key == 'model.cls_head.class_names' else short
        again = [name for name, split in splits.items() if short.split('.')[0] in split]
        if short != key and again and len(again) == len(splits):
            raise ValueError(
                f'--cfg-options {key} changes nothing: test_splits sets it for each split; set '
                f'{name_a_few(f"test_splits.{name}.{short}" for name in again)}, or '
                'test_splits=None to test on this one'
            )


def _check_variables(cfg: Config, options: Options) -> None:
    """Raise ValueError for a variable of the config file, since its uses are copies already."""
    takes = find_keys((), cfg, cfg).names
    for key, value in options.items():
        name, *rest = key.split('.')
        if name in takes or name not in cfg or is_read_by_own_code(cfg, name):
            continue
        if not rest and to_plain(cfg[name]) == to_plain(value):
            continue  # as it is already
        uses = ['.'.join([use, *rest]) for use in find_uses(cfg, name) or find_namesakes(cfg, name)]
        raise ValueError(
            f"--cfg-options {key} changes nothing: '{name}' is a variable of the config file, "
            f'copied when that was read; {name_uses(uses)}'
        )


def _check_option(cfg: Config, options: Options, key: str, value: Any) -> None:
    node: Any = cfg._cfg_dict
    place: tuple[str, ...] = ()
    for part in key.split('.'):
        if isinstance(node, Mapping):
            if part not in node:
                _check_new_key(cfg, options, key, place, node)
            node = node.get(part, {})
            node = {} if node is None and place else node
        else:
            node = _get_entry(key, place, node, part)
        place = (*place, part)
    _check_value(cfg, key, node, value)


def _open_nones(node: Any, parts: list[str]) -> None:
    """Replace parts that are None by empty dicts, so that their settings can be merged."""
    for depth, part in enumerate(parts[:-1]):
        place: Any = int(part) if isinstance(node, list) else part
        if isinstance(node, dict) and part not in node:
            return
        if depth and node[place] is None:
            node[place] = ConfigDict()
        node = node[place]


def _get_entry(key: str, place: tuple[str, ...], node: Any, part: str) -> Any:
    """Return an entry of the list at ``place``."""
    where = '.'.join(place)
    if isinstance(node, tuple):
        raise ValueError(f'--cfg-options {key}: {where} is a tuple; set it whole, {where}={node}')
    if not isinstance(node, list):
        raise ValueError(f"--cfg-options {key}: {where} is {node!r}, which has no '{part}' to set")
    if not part.isdigit() or int(part) >= len(node):
        entries = f'0 to {len(node) - 1}' if node else 'none'
        raise ValueError(
            f'--cfg-options {key}: {where} is a list with the entries {entries}, not '
            f"'{part}'; write {where}.NUMBER.KEY, and add entries in a config file"
        )
    return node[int(part)]


def _check_new_key(
    cfg: Config, options: Options, key: str, place: tuple[str, ...], node: Mapping[str, Any]
) -> None:
    """Raise ValueError if the dict at ``place`` does not take its part of ``key``."""
    where, part = '.'.join(place), key.split('.')[len(place)]
    full = f'{where}.{part}' if where else part
    # Other options may change the class of the dict, and so the keys that it takes.
    others = {name: options.get(f'{where}.{name}') for name in ('type', 'by_epoch', 'constructor')}
    node = {**node, **{name: x for name, x in others.items() if x is not None}}
    takes = find_keys(place, node, cfg)
    known = takes.names | (node.keys() - {part} if place else set())
    if part in takes.names or (takes.more and find_slip(part, known) is None):
        return
    if place == ('default_hooks',) and f'{full}.type' in options:
        return
    if not place and is_read_by_own_code(cfg, part):
        return
    kind = type_name(node['type']) if node.get('type') else ''
    owner = f'{where} ({kind})' if kind else where or 'a run'
    namesakes = find_namesakes(cfg, part) if not place else []
    near = suggest(part, known - META)
    if namesakes and 'did you mean' not in near:
        near = f'; it is a key of parts: {name_a_few(namesakes, most=6)}'
    raise ValueError(
        f"--cfg-options {key}: there is no such setting, {owner} takes no '{part}'{near}"
    )


def _check_value(cfg: Config, key: str, old: Any, value: Any) -> None:
    """Raise ValueError for a string in place of parts, and for a class that does not exist."""
    parts = old if isinstance(old, list) else [old]
    typed = bool(parts) and all(isinstance(part, Mapping) and 'type' in part for part in parts)
    entries = value if isinstance(value, list | tuple) else [value]
    if typed and any(isinstance(entry, str) for entry in entries):
        inside = f'{key}.0' if isinstance(old, list) else key
        raise ValueError(
            f'--cfg-options {key}={value}: {key} holds settings of its own, not text; set '
            f'{inside}.KEY=VALUE, or write a config file'
        )
    scope = cfg.get('default_scope')
    if not key.endswith('.type') or not isinstance(value, str) or find_classes(value, scope):
        return
    if find_classes(old, scope):
        known = list_known_names(old, scope) if isinstance(old, str) else []
        slip = find_slip(value.rpartition('.')[2], known)
        near = f"; did you mean '{slip}'?" if slip else ''
        raise ValueError(f"--cfg-options {key}: there is no '{value}'{near}")
