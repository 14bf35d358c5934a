"""Test a model on the splits of a protocol: ``python tools/test_splits.py CONFIG [CHECKPOINT]``.

CONFIG has ``test_splits`` (:func:`mmstan.evaluation.protocols.split_configs`). The model is built
once; each split brings its test data and the names of its classes. The table of the splits, with
mean and deviation, is printed and left in the work dir as ``splits.md`` and ``splits.json``.
Options are those of ``tools/test.py``; on eight GPUs:
``torchrun --nproc_per_node 8 tools/test_splits.py CONFIG CHECKPOINT --launcher pytorch``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from test import merge_args, parse_args  # tools/test.py: a script's own folder comes first

from mmstan.config import check_config
from mmstan.evaluation import mean_and_deviation, split_configs, splits_table


def test_splits(cfg: Config) -> dict[str, dict[str, float]]:
    """Split -> metric -> value.

    Raises:
        ValueError: There are no splits, or the model has no head for class names.
    """
    splits = split_configs(cfg)
    for split in splits.values():
        check_config(split, splits=('test',))
    first = next(iter(splits.values()))
    runner = RUNNERS.build(first) if 'runner_type' in first else Runner.from_cfg(first)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if cfg.load_from is None:
        model.init_weights()
    results = {}
    for name, split in splits.items():
        print_log(f'split {name}', logger='current')
        model.cls_head.class_names = split.model.cls_head.class_names
        # A runner has one test set; its test() builds the loop from these.
        runner._test_dataloader = split.test_dataloader
        runner._test_evaluator = split.test_evaluator
        runner._test_loop = split.test_cfg
        results[name] = runner.test()
    return results


def main() -> None:
    """Test, and write the results."""
    args = parse_args()
    try:
        cfg = merge_args(Config.fromfile(args.config), args)
        results = test_splits(cfg)
    except (ValueError, OSError) as error:  # a setting is wrong: its message says which
        if os.environ.get('MMSTAN_TRACEBACK'):
            raise
        sys.exit(f'error: {error} (MMSTAN_TRACEBACK=1 shows where)')
    if is_main_process():
        table, folder = splits_table(results), Path(cfg.work_dir)
        (folder / 'splits.md').write_text(table + '\n', 'utf-8')
        everything = {'splits': results, **mean_and_deviation(results)}
        (folder / 'splits.json').write_text(json.dumps(everything, indent=1) + '\n', 'utf-8')
        print(f'\n{args.config}, {cfg.load_from or "pretrained weights"}, in per cent\n{table}')


if __name__ == '__main__':
    main()
