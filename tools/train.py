"""Train a model: ``python tools/train.py CONFIG``."""

from __future__ import annotations

import argparse
import os
import sys

from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

import mmstan  # noqa: F401  (mends MMAction2 before anything of it is imported)
from mmstan.config import check_config, default_work_dir, is_checkpoint
from mmstan.shrink import shrink


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where logs and checkpoints go')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='go on from this checkpoint, or from the latest one of the work dir',
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const='float16',
        choices=['float16', 'bfloat16'],
        help='mixed precision; float16 with loss scaling by default',
    )
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate while training')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate by the batch size over the config's base_batch_size",
    )
    parser.add_argument('--seed', type=int, help='random seed')
    parser.add_argument('--deterministic', action='store_true', help='deterministic GPU kernels')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='settings of the config to change: key=value key.sub=value key="[a,b]"',
    )
    parser.add_argument(
        '--tiny',
        action='store_true',
        help='narrow towers, no weights, a rendered toy data set, one epoch: does the config run?',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    if args.resume not in (None, 'auto') and not is_checkpoint(args.resume):
        parser.error(f'there is no checkpoint {args.resume}')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def merge_args(cfg: Config, args: argparse.Namespace) -> Config:
    """Put the command line into the config; ``--cfg-options`` has the last word."""
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or default_work_dir(args.config)
    if args.tiny:
        shrink(cfg)
        cfg.work_dir += '_tiny'
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.dtype = args.amp
        scaled = args.amp == 'float16'
        cfg.optim_wrapper.loss_scale = 'dynamic' if scaled else dict(enabled=False)
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    if args.auto_scale_lr:
        if 'auto_scale_lr' not in cfg:
            raise ValueError(f'--auto-scale-lr: {args.config} has no auto_scale_lr.base_batch_size')
        cfg.auto_scale_lr.enable = True
    if args.seed is not None:
        cfg.merge_from_dict({'randomness.seed': args.seed})
    if args.deterministic:
        cfg.merge_from_dict({'randomness.deterministic': True})
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    return cfg


def main() -> None:
    """Build the runner and train."""
    args = parse_args()
    try:
        cfg = merge_args(Config.fromfile(args.config), args)
        check_config(cfg, splits=('train', 'val') if cfg.get('val_cfg') else ('train',))
        runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
        runner.train()
    except (ValueError, OSError) as error:  # a setting is wrong: its message says which
        if os.environ.get('MMSTAN_TRACEBACK'):
            raise
        sys.exit(f'error: {error} (MMSTAN_TRACEBACK=1 shows where)')


if __name__ == '__main__':
    main()
