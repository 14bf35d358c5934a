"""Train a model: ``python tools/train.py CONFIG``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.config import Config, ConfigDict
from mmengine.runner import find_latest_checkpoint

from mmstan.apis.load import build_runner
from mmstan.cli import (
    command,
    merge_run_options,
    one_line_errors,
    parse,
    refuse_two_checkpoints,
)
from mmstan.config.checks import check_config
from mmstan.config.options import merge_options
from mmstan.config.paths import is_checkpoint
from mmstan.config.tiny import make_tiny
from mmstan.engine.compiling import compile_model
from mmstan.engine.prepare_resume import resume_own_checkpoint
from mmstan.engine.trackers import TRACKERS, add_trackers
from mmstan.engine.work_dir_lock import claim_work_dir
from mmstan.registry import type_name


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = command(__doc__)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue from this checkpoint, or from the latest one in the work dir; without one '
        'begin as the config says, load_from included',
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const='float16',
        choices=['float16', 'bfloat16'],
        help='mixed precision; float16 with loss scaling by default',
    )
    parser.add_argument(
        '--compile',
        action='store_true',
        help="torch.compile the backbone and retrieval's text tower; the first step takes a minute",
    )
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate while training')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="multiply the learning rate by the clips of an update / the config's base_batch_size",
    )
    parser.add_argument('--seed', type=int, help='random seed')
    parser.add_argument('--deterministic', action='store_true', help='deterministic GPU kernels')
    parser.add_argument(
        '--tiny',
        action='store_true',
        help='narrow towers, no weights, a rendered toy data set, one epoch: does the config run?',
    )
    parser.add_argument(
        '--track',
        nargs='+',
        default=[],
        choices=list(TRACKERS),
        help='send losses and scores to these',
    )
    args = parse(parser)
    if args.resume not in (None, 'auto') and not is_checkpoint(args.resume):
        parser.error(f'there is no checkpoint {args.resume}')
    return args


def merge_args(cfg: Config, args: argparse.Namespace) -> Config:
    """Put the command line into the config; ``--cfg-options`` wins over the other options."""
    merge_run_options(cfg, args)
    if args.tiny:
        make_tiny(cfg)
        cfg.work_dir += '_tiny'
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        use_mixed_precision(cfg.optim_wrapper, args.amp)
    if args.resume:
        _set_resume(cfg, args)
    if args.auto_scale_lr:
        if not (cfg.get('auto_scale_lr') or {}).get('base_batch_size'):
            raise ValueError(f'--auto-scale-lr: {args.config} has no auto_scale_lr.base_batch_size')
        cfg.auto_scale_lr.enable = True
    if args.seed is not None:
        cfg.merge_from_dict({'randomness.seed': args.seed})
    if args.deterministic:
        cfg.merge_from_dict({'randomness.deterministic': True})
    # Options may change the tracker's settings, and a tracker may write into the work dir.
    cfg.work_dir = (args.cfg_options or {}).get('work_dir', cfg.work_dir)
    add_trackers(cfg, args.track)
    merge_options(cfg, args.cfg_options)
    if args.compile and cfg.get('strategy') and cfg.launcher != 'none':
        raise ValueError(f'--compile: strategy {cfg.strategy.type} does not compile; leave it out')
    return cfg


def _set_resume(cfg: Config, args: argparse.Namespace) -> None:
    """Put ``--resume`` into the config; ``auto`` keeps ``load_from``, where a fresh run starts."""
    cfg.resume = True
    if args.resume == 'auto':
        return
    refuse_two_checkpoints(f'--resume {args.resume}', args.cfg_options)
    cfg.load_from = args.resume


def use_mixed_precision(wrapper: ConfigDict, dtype: str) -> None:
    """Let the config ``wrapper`` of MMEngine's optimiser wrapper train in ``dtype``.

    Raises:
        ValueError: The wrapper is of another class, which ``--amp`` would replace, or has another
            ``dtype``.
    """
    kind = type_name(wrapper.get('type', 'OptimWrapper'))
    if kind.rpartition('.')[2] not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ValueError(
            f'--amp {dtype} would replace optim_wrapper.type={kind} by AmpOptimWrapper; leave it '
            'out, and set the precision of that class in the config'
        )
    if str(wrapper.get('dtype') or dtype) != dtype:
        raise ValueError(
            f'--amp {dtype}, but the config has optim_wrapper.dtype={wrapper.dtype}: write --amp '
            f'{wrapper.dtype}, or change the config'
        )
    wrapper.update(type='AmpOptimWrapper', dtype=dtype)
    wrapper.setdefault('loss_scale', 'dynamic' if dtype == 'float16' else dict(enabled=False))


@contextmanager
def _without_start_file(cfg: Config, args: argparse.Namespace) -> Iterator[None]:
    """Within, ``load_from`` is not there if a resumed run has a checkpoint of its own."""
    start = cfg.get('load_from')
    if args.resume == 'auto' and start and find_latest_checkpoint(cfg.work_dir):
        cfg.load_from = None
    try:
        yield
    finally:
        cfg.load_from = start


def main() -> None:
    """Build the runner and train."""
    args = parse_args()
    with one_line_errors():
        cfg = merge_args(Config.fromfile(args.config), args)
        with _without_start_file(cfg, args):
            check_config(cfg, splits=('train', 'val') if cfg.get('val_cfg') else ('train',))
        with claim_work_dir(cfg.work_dir, launcher=cfg.launcher):
            runner = build_runner(cfg, sharded=True)
            if args.resume == 'auto':
                resume_own_checkpoint(runner)
            if args.compile:
                compile_model(runner.model)
            runner.train()


if __name__ == '__main__':
    main()
