"""What can be said about a config before anything is built: arguments, data, where results go."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry

from mmstan import registry
from mmstan.config.labels import check_labels
from mmstan.config.paths import is_checkpoint
from mmstan.config.walk import named_dicts

_ANNOTATIONS = ('ann_file', 'video_list', 'caption_index')  # arguments that name a file


def check_config(cfg: Config, *, splits: tuple[str, ...]) -> None:
    """Find what would fail later and with a longer message.

    Args:
        cfg: The config of a run, its ``work_dir`` set.
        splits: Which data are needed: of ``'train'``, ``'val'`` and ``'test'``.

    Raises:
        ValueError: A class of mmstan does not exist or has no such argument, or a label is none of
            the classes.
        FileNotFoundError: Annotations, videos, class names or ``load_from`` are not there.
        PermissionError: The work dir cannot be written to.
    """
    check_arguments(cfg)
    _check_skip_broken(cfg)
    missing = list(missing_data(cfg, splits))
    if missing:
        lines = '\n'.join(f'  {path}  ({key})' for key, path in missing)
        raise FileNotFoundError(
            f'{cfg.filename} needs data that are not here:\n{lines}\n'
            'Prepare them as "Data preparation" in the README says (videos with captions: '
            'docs/retrieval.md), or set these keys with --cfg-options; `python '
            'tools/data/moving_shapes.py` renders those of the quickstart'
        )
    check_labels(cfg, splits)
    check_work_dir(cfg.work_dir)


def _check_skip_broken(cfg: Config) -> None:
    """Videos that are left out must not be counted by a metric that does not know of them."""
    for split in ('val', 'test'):
        dataset = (cfg.get(f'{split}_dataloader') or {}).get('dataset') or {}
        metrics = cfg.get(f'{split}_evaluator') or []
        metrics = metrics if isinstance(metrics, (list, tuple)) else [metrics]
        others = [m['type'] for m in metrics if not str(m['type']).startswith('mmstan.')]
        others = [name for name in others if name != 'DumpResults']
        if dataset.get('skip_broken') and others:
            raise ValueError(
                f"{split}_dataloader.dataset.skip_broken=True, but {split}_evaluator '{others[0]}' "
                "would count the black clips; use 'mmstan.AccMetric' or 'mmstan.RetrievalMetric'"
            )


def check_work_dir(work_dir: str) -> None:
    """Raise PermissionError unless ``work_dir``, or the parent it will be made in, is writable."""
    folder = Path(work_dir).absolute()
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise PermissionError(
            f"work_dir='{work_dir}' cannot be written to ({existing}); choose another one with "
            '--work-dir'
        )


def missing_data(cfg: Config, splits: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The local files and folders that ``cfg`` reads and that are not there, as (key, path)."""
    start = cfg.get('load_from')
    if start and not is_checkpoint(start):
        yield 'load_from', start
    seen = set()
    for split in splits:
        loader = f'{split}_dataloader'
        dataset = (cfg.get(loader) or {}).get('dataset')
        for _, node in named_dicts(dataset, ''):  # wrappers hold datasets, or lists of them
            root, prefix = node.get('data_root') or '', node.get('data_prefix') or {}
            prefix = prefix if isinstance(prefix, Mapping) else {'data_prefix': prefix}
            files = {key: node.get(key) for key in _ANNOTATIONS}
            for key, path in {**files, **prefix}.items():
                full = os.path.join(root, path) if isinstance(path, str) and path else ''
                if full and '://' not in full and not os.path.exists(full) and full not in seen:
                    seen.add(full)
                    yield f'{loader}.dataset {key}', full
    for where, node in named_dicts(cfg.get('model', {}), 'model'):
        names = node.get('class_names')
        if isinstance(names, str) and not os.path.exists(names):
            yield f'{where}.class_names', names


def check_arguments(cfg: Config) -> None:
    """Raise ValueError for a ``mmstan.`` type that does not exist, or an argument it has not."""
    known = _known_classes()
    for where, node in named_dicts(cfg.to_dict(), ''):
        name = node.get('type')
        if not isinstance(name, str) or not name.startswith('mmstan.'):
            continue
        short = name.removeprefix('mmstan.')
        if short not in known:
            near = _near(short, known, otherwise='; is a class of yours in custom_imports?')
            raise ValueError(f"{where}: there is no '{name}'{near}")
        arguments = _arguments(known[short])
        for key in sorted(node.keys() - {'type', '_scope_', '_delete_'}):
            if arguments is not None and key not in arguments:
                raise ValueError(f"{where}: {name} has no argument '{key}'{_near(key, arguments)}")


def _known_classes() -> dict[str, type]:
    registries = [value for value in vars(registry).values() if isinstance(value, Registry)]
    ours = [r for r in registries if r.scope == 'mmstan']
    for each in ours:
        each.import_from_location()
    return {name: cls for each in ours for name, cls in each.module_dict.items()}


def _arguments(cls: type) -> set[str] | None:
    """Names that ``cls(...)`` takes, through ``**kwargs`` to its bases; None if any are taken."""
    inits = [base.__dict__['__init__'] for base in cls.__mro__[:-1] if '__init__' in vars(base)]
    names: set[str] = set()
    for init in inits:
        parameters = list(inspect.signature(init).parameters.values())[1:]  # without self
        names |= {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            return names
    return None if inits else names


def _near(word: str, known: Any, *, otherwise: str = '') -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f'; it has {", ".join(sorted(known)) or "none"}{otherwise}'
