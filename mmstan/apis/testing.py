"""Test a model on one test set, or on the splits of a protocol."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmstan.apis.load import build_runner, init_pretrained, refuse_random_weights
from mmstan.config.checks import check_config
from mmstan.evaluation import format_splits, mean_and_deviation, split_configs


def build_for_test(cfg: Config, *, unwrap: bool = False) -> tuple[Runner, Any]:
    """Build the runner and its model; without a checkpoint, the pretrained weights are loaded.

    Args:
        cfg: The config.
        unwrap: Whether the checkpoint may be wrapped in another way than MMEngine's runner does
            (``{'model': ...}``, compiled). A score shall not come from such a file unasked.
    """
    refuse_random_weights(cfg)
    runner = build_runner(cfg)
    runner.refuse_foreign_wrapping = not unwrap  # see mmstan.compat.checkpoints
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if cfg.load_from is None:
        init_pretrained(model)
    return runner, model


def run_splits(cfg: Config, *, unwrap: bool = False) -> dict[str, dict[str, float]]:
    """Test on every split; returns split -> metric -> value.

    The model is built once, and gets the class names of each split. ``unwrap`` is that of
    :func:`build_for_test`.
    """
    splits = split_configs(cfg)
    for split in splits.values():
        check_config(split, splits=('test',))
    runner, model = build_for_test(next(iter(splits.values())), unwrap=unwrap)
    results = {}
    for name, split in splits.items():
        print_log(f'split {name}', logger='current')
        if 'class_names' in split.model.get('cls_head', {}):
            model.cls_head.class_names = split.model.cls_head.class_names
        # A runner has one test set; its test() builds the loop from these.
        runner._test_dataloader = split.test_dataloader
        runner._test_evaluator = split.test_evaluator
        runner._test_loop = split.test_cfg
        results[name] = runner.test()
    return results


def write_splits(results: dict[str, dict[str, float]], folder: Path) -> str:
    """Write ``splits.md`` and ``splits.json`` into ``folder``; returns the Markdown table."""
    table = format_splits(results)
    (folder / 'splits.md').write_text(table + '\n', 'utf-8')
    everything = {'splits': results, **mean_and_deviation(results)}
    (folder / 'splits.json').write_text(json.dumps(everything, indent=1) + '\n', 'utf-8')
    return table
