"""Test a model: ``python tools/test.py CONFIG [CHECKPOINT]``.

A config with ``test_splits`` (:func:`mmstan.evaluation.split_configs`) is tested on each of its
splits; the table with mean and deviation is printed, and left in the work dir as ``splits.md`` and
``splits.json``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmstan.apis.load import build_runner, init_pretrained, refuse_random_weights
from mmstan.cli import command, merge_test_options, one_line_errors, parse
from mmstan.config.checks import check_config
from mmstan.config.options import check_split_options
from mmstan.evaluation import mean_and_deviation, split_configs, splits_table


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = command(__doc__, checkpoint=True)
    parser.add_argument('--dump', help='save the predictions to this .pkl file')
    args = parse(parser)
    if args.dump and not args.dump.endswith(('.pkl', '.pickle')):
        parser.error(f'--dump {args.dump}: the file name must end in .pkl')
    return args


def merge_args(cfg: Config, args: argparse.Namespace) -> Config:
    """Put the command line into the config; ``--cfg-options`` has the last word."""
    if args.dump:
        evaluators = cfg.test_evaluator
        evaluators = list(evaluators) if isinstance(evaluators, (list, tuple)) else [evaluators]
        cfg.test_evaluator = [*evaluators, dict(type='DumpResults', out_file_path=args.dump)]
    check_split_options(cfg, args.cfg_options)
    return merge_test_options(cfg, args)


def build(cfg: Config) -> tuple[Runner, nn.Module]:
    """The runner and its model, which has its pretrained weights where there is no checkpoint."""
    refuse_random_weights(cfg)
    runner = build_runner(cfg)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if cfg.load_from is None:
        init_pretrained(model)
    return runner, model


def test_splits(cfg: Config) -> dict[str, dict[str, float]]:
    """Split -> metric -> value; the model is built once and given each split's class names."""
    splits = split_configs(cfg)
    for split in splits.values():
        check_config(split, splits=('test',))
    runner, model = build(next(iter(splits.values())))
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
    """The table, which is left in ``folder``."""
    table = splits_table(results)
    (folder / 'splits.md').write_text(table + '\n', 'utf-8')
    everything = {'splits': results, **mean_and_deviation(results)}
    (folder / 'splits.json').write_text(json.dumps(everything, indent=1) + '\n', 'utf-8')
    return table


def main() -> None:
    """Test."""
    args = parse_args()
    with one_line_errors():
        cfg = merge_args(Config.fromfile(args.config), args)
        if not cfg.get('test_splits'):
            check_config(cfg, splits=('test',))
            build(cfg)[0].test()
            return
        results = test_splits(cfg)
    if is_main_process():
        table = write_splits(results, Path(cfg.work_dir))
        print(f'\n{args.config}, {cfg.load_from or "pretrained weights"}, in per cent\n{table}')


if __name__ == '__main__':
    main()
