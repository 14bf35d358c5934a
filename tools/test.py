"""Test a model: ``python tools/test.py CONFIG [CHECKPOINT]``."""

from __future__ import annotations

import argparse
import os
import sys

from mmengine.config import Config, DictAction
from mmengine.model import is_model_wrapper
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

import mmstan  # noqa: F401  (mends MMAction2 before anything of it is imported)
from mmstan.config import check_config, default_work_dir, is_checkpoint


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Test a model')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help="checkpoint; without one the config's pretrained weights are tested (zero-shot)",
    )
    parser.add_argument('--work-dir', help='where logs and metrics go')
    parser.add_argument('--dump', help='save the predictions to this .pkl file')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='settings of the config to change: key=value key.sub=value key="[a,b]"',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    if args.dump and not args.dump.endswith(('.pkl', '.pickle')):
        parser.error(f'--dump {args.dump}: the file name must end in .pkl')
    if args.checkpoint and not is_checkpoint(args.checkpoint):
        parser.error(f'there is no checkpoint {args.checkpoint}')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def merge_args(cfg: Config, args: argparse.Namespace) -> Config:
    """Put the command line into the config; ``--cfg-options`` has the last word."""
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or default_work_dir(args.config)
    cfg.load_from = args.checkpoint or cfg.get('load_from')
    cfg.resume = False
    if args.dump:
        evaluators = cfg.test_evaluator
        evaluators = list(evaluators) if isinstance(evaluators, (list, tuple)) else [evaluators]
        cfg.test_evaluator = [*evaluators, dict(type='DumpResults', out_file_path=args.dump)]
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    return cfg


def main() -> None:
    """Build the runner and test."""
    args = parse_args()
    try:
        cfg = merge_args(Config.fromfile(args.config), args)
        check_config(cfg, splits=('test',))
        runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
        if cfg.load_from is None:
            model = runner.model.module if is_model_wrapper(runner.model) else runner.model
            model.init_weights()
        runner.test()
    except (ValueError, OSError) as error:  # a setting is wrong: its message says which
        if os.environ.get('MMSTAN_TRACEBACK'):
            raise
        sys.exit(f'error: {error} (MMSTAN_TRACEBACK=1 shows where)')


if __name__ == '__main__':
    main()
