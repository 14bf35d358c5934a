"""Test a model: ``python tools/test.py CONFIG [CHECKPOINT]``.

A config with ``test_splits`` (:func:`mmstan.evaluation.split_configs`) is tested on each of its
splits. The table with mean and deviation is printed, and written to the work dir as ``splits.md``
and ``splits.json``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process

from mmstan.apis.testing import build_for_test, run_splits, write_splits
from mmstan.cli import command, merge_test_options, one_line_errors, parse
from mmstan.config.checks import check_config
from mmstan.config.options import check_split_options


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = command(__doc__, checkpoint=True)
    parser.add_argument('--dump', help='save the predictions to this .pkl file')
    parser.add_argument(
        '--unwrap',
        action='store_true',
        help="take a checkpoint that another trainer wrapped ({'model': ...}, compiled)",
    )
    args = parse(parser)
    if args.dump and not args.dump.endswith(('.pkl', '.pickle')):
        parser.error(f'--dump {args.dump}: the file name must end in .pkl')
    return args


def merge_args(cfg: Config, args: argparse.Namespace) -> Config:
    """Put the command line into the config; ``--cfg-options`` wins over the other options."""
    if args.dump:
        evaluators = cfg.test_evaluator
        evaluators = list(evaluators) if isinstance(evaluators, (list, tuple)) else [evaluators]
        cfg.test_evaluator = [*evaluators, dict(type='DumpResults', out_file_path=args.dump)]
    check_split_options(cfg, args.cfg_options)
    return merge_test_options(cfg, args)


def main() -> None:
    """Test the model on its test set, or on each split."""
    args = parse_args()
    with one_line_errors():
        cfg = merge_args(Config.fromfile(args.config), args)
        if not cfg.get('test_splits'):
            check_config(cfg, splits=('test',))
            build_for_test(cfg, unwrap=args.unwrap)[0].test()
            return
        results = run_splits(cfg, unwrap=args.unwrap)
    if is_main_process():
        table = write_splits(results, Path(cfg.work_dir))
        print(f'\n{args.config}, {cfg.load_from or "pretrained weights"}, in per cent\n{table}')


if __name__ == '__main__':
    main()
