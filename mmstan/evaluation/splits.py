"""Test a config on several splits, and report mean and deviation over them."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmstan.registry import type_name
from mmstan.wording import markdown_table

DEVIATION = 'sample deviation (n - 1)'
Results = Mapping[str, Mapping[str, float]]


def split_configs(cfg: Config) -> dict[str, Config]:
    """Name of a split -> test config: ``cfg`` with the settings of that split.

    Args:
        cfg: A recognition config with ``test_splits``, ``{name: dict(class_names=..., ...)}``:
            the names of the split's classes for ``model.cls_head``, and arguments of the test data
            set (``ann_file``, ``data_prefix``). Settings that a split omits stay as in ``cfg``.

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
        if type_name(metric['type']) == 'DumpResults':
            # A file per split; with one name, each split would overwrite the one before.
            path = Path(metric['out_file_path'])
            metric['out_file_path'] = str(path.with_stem(f'{path.stem}_{name}'))
    return cfg


def mean_and_deviation(results: Results) -> dict[str, dict[str, float]]:
    """Mean of each metric over the splits, and sample deviation if there are several splits.

    Args:
        results: Split -> metric -> value. Integers are counts and are left out.

    Returns:
        ``'mean'``, and with several splits :data:`DEVIATION`, -> metric -> value.

    >>> mean_and_deviation({'split1': {'acc/top1': 0.5}, 'split2': {'acc/top1': 0.7}})['mean']
    {'acc/top1': 0.6}
    """
    values = {
        name: [of_split[name] for of_split in results.values()] for name in list_shares(results)
    }
    summary = {'mean': {name: statistics.fmean(column) for name, column in values.items()}}
    if len(results) > 1:
        summary[DEVIATION] = {name: statistics.stdev(column) for name, column in values.items()}
    return summary


def format_splits(results: Results) -> str:
    """Markdown: a row per split, then the mean; shares in per cent, counts unchanged.

    Args:
        results: Split -> metric -> value, a share between 0 and 1, or a count.
    """
    metrics = list(dict.fromkeys(name for of_split in results.values() for name in of_split))
    rows = [
        [split, *(format_cell(row.get(m, 0)) for m in metrics)] for split, row in results.items()
    ]
    summary = mean_and_deviation(results)
    mean, deviation = summary['mean'], summary.get(DEVIATION, {})
    spread = {name: f' ± {100 * value:.2f}' for name, value in deviation.items()}
    label = f'mean ± {DEVIATION}' if deviation else 'mean'
    rows += [
        [label, *(format_cell(mean[m]) + spread.get(m, '') if m in mean else '' for m in metrics)]
    ]
    return markdown_table(['split', *metrics], rows)


def list_shares(results: Results) -> list[str]:
    """Names of the metrics that are shares (floats) and not counts (integers)."""
    first = next(iter(results.values()), {})
    return [name for name, value in first.items() if not isinstance(value, int)]


def format_cell(value: float) -> str:
    """The text of a cell: a count unchanged, a share in per cent."""
    return str(value) if isinstance(value, int) else f'{100 * value:.2f}'
