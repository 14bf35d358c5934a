"""Protocols of papers: test splits with mean and deviation, K-shot training lists."""

from __future__ import annotations

import copy
import hashlib
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

DEVIATION = 'sample deviation (n - 1)'
Results = Mapping[str, Mapping[str, float]]


def split_configs(cfg: Config) -> dict[str, Config]:
    """One test config a split: what the split says, put into ``cfg``.

    Args:
        cfg: A recognition config with ``test_splits``, ``{name: dict(class_names=..., ...)}``:
            the names of the split's classes for ``model.cls_head``, and arguments of the test data
            set (``ann_file``, ``data_prefix``). What a split leaves out is the config's own.

    Raises:
        ValueError: There are no ``test_splits``, or the model has no head for class names.
    """
    splits = cfg.get('test_splits')
    if not splits:
        raise ValueError(
            f'{cfg.filename}: test_splits={splits}, but it must name test sets, e.g. test_splits='
            "dict(split1=dict(ann_file='...', class_names='...'))"
        )
    return {name: _split_config(cfg, name, split) for name, split in splits.items()}


def _split_config(cfg: Config, name: str, split: Mapping[str, Any]) -> Config:
    cfg = copy.deepcopy(cfg)
    dataset = dict(split)
    if 'class_names' in dataset:
        names = dataset.pop('class_names')
        if 'class_names' not in cfg.model.get('cls_head', {}):
            raise ValueError(
                f'test_splits.{name}.class_names={names!r}, but model.cls_head has no class_names; '
                "classify by names: cls_head=dict(type='mmstan.TextHead', class_names=...)"
            )
        cfg.merge_from_dict({'model': {'cls_head': {'class_names': names}}})
    cfg.merge_from_dict({'test_dataloader': {'dataset': dataset}})
    metrics = cfg.test_evaluator
    for metric in metrics if isinstance(metrics, (list, tuple)) else [metrics]:
        if metric['type'] == 'DumpResults':  # or each split would write over the one before
            path = Path(metric['out_file_path'])
            metric['out_file_path'] = str(path.with_stem(f'{path.stem}_{name}'))
    return cfg


def mean_and_deviation(results: Results) -> dict[str, dict[str, float]]:
    """Mean over the splits of what is a float, and its sample deviation where there are several.

    Args:
        results: Split -> metric -> value. Integers are counts and are left out.

    >>> mean_and_deviation({'split1': {'acc/top1': 0.5}, 'split2': {'acc/top1': 0.7}})['mean']
    {'acc/top1': 0.6}
    """
    values = {name: [of_split[name] for of_split in results.values()] for name in _shares(results)}
    summary = {'mean': {name: statistics.fmean(column) for name, column in values.items()}}
    if len(results) > 1:
        summary[DEVIATION] = {name: statistics.stdev(column) for name, column in values.items()}
    return summary


def splits_table(results: Results) -> str:
    """Markdown: a row a split, then the mean, in per cent; counts as they are.

    Args:
        results: Split -> metric -> value, a share between 0 and 1, or a count.
    """
    metrics = list(dict.fromkeys(name for of_split in results.values() for name in of_split))
    rows = [['split', *metrics]]
    rows += [[split, *(_cell(row.get(m, 0)) for m in metrics)] for split, row in results.items()]
    summary = mean_and_deviation(results)
    mean, deviation = summary['mean'], summary.get(DEVIATION, {})
    spread = {name: f' ± {100 * value:.2f}' for name, value in deviation.items()}
    label = f'mean ± {DEVIATION}' if deviation else 'mean'
    rows += [[label, *(_cell(mean[m]) + spread.get(m, '') if m in mean else '' for m in metrics)]]
    rows.insert(1, ['---'] * len(rows[0]))
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def _shares(results: Results) -> list[str]:
    first = next(iter(results.values()), {})
    return [name for name, value in first.items() if not isinstance(value, int)]


def _cell(value: float) -> str:
    return str(value) if isinstance(value, int) else f'{100 * value:.2f}'


def few_shot(lines: Iterable[str], shots: int, *, seed: int) -> list[str]:
    """``shots`` videos of each class, chosen by ``seed``, in the order of the classes.

    A class's videos are ranked by a hash of the seed and the file's stem, and the first ones are
    taken: the 2-shot list is a part of the 4-shot list, and the choice depends neither on the order
    of ``lines`` nor on folders and file types.

    Args:
        lines: A training list, ``path label`` a line.
        shots: K.
        seed: Another one gives another choice.

    Raises:
        ValueError: A line is of another form, or a class has fewer than ``shots`` videos.

    >>> few_shot(['b.mp4 0', 'c.mp4 1', 'a.mp4 0'], 1, seed=0)
    ['b.mp4 0', 'c.mp4 1']
    """
    if shots < 1:
        raise ValueError(f'shots={shots} must be at least 1')
    videos = _videos_by_class(lines)
    counts = {label: len(videos.get(label, ())) for label in range(max(videos, default=0) + 1)}
    short = [f'class {label} has {n}' for label, n in counts.items() if n < shots]
    if short:
        more = f' and {len(short) - 5} more' if len(short) > 5 else ''
        raise ValueError(
            f'shots={shots}, but {", ".join(short[:5])}{more}; take fewer shots, or a list with '
            'more videos'
        )
    ranked = {label: sorted(videos[label], key=lambda path: _rank(path, seed)) for label in counts}
    return [f'{path} {label}' for label in counts for path in ranked[label][:shots]]


def _videos_by_class(lines: Iterable[str]) -> dict[int, list[str]]:
    videos = defaultdict(list)
    for number, line in enumerate(lines, start=1):
        parts = line.split()
        if parts:
            if len(parts) != 2 or not parts[1].isdecimal():
                raise ValueError(f"line {number} is {line.strip()!r}, but must be 'path label'")
            videos[int(parts[1])].append(parts[0])
    return videos


def _rank(path: str, seed: int) -> tuple[bytes, str]:
    stem = Path(path).stem
    return hashlib.sha256(f'{seed} {stem}'.encode()).digest(), path


def class_index_names(lines: Sequence[str]) -> list[str]:
    """Names in class order from UCF101's ``classInd.txt``, which MMAction2 makes for HMDB51 too.

    Underscores become spaces; UCF101's ``ApplyEyeMakeup`` stays one word, as X-CLIP has it.

    Args:
        lines: ``number name`` a line; the numbers begin at 1.

    Raises:
        ValueError: A line is of another form, or the numbers are not 1 to K in this order.

    >>> class_index_names(['1 brush_hair', '2 cartwheel'])
    ['brush hair', 'cartwheel']
    """
    pairs = [line.split(maxsplit=1) for line in lines if line.strip()]
    if [pair[0] for pair in pairs] != [str(i + 1) for i in range(len(pairs))] or not all(
        len(pair) == 2 for pair in pairs
    ):
        raise ValueError(f"lines={list(lines)[:2]}... must be '1 name', '2 name' and so on")
    return [name.strip().replace('_', ' ') for _, name in pairs]
