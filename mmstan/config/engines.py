"""The engine that a config names: plain training, or training with sharded parameters."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmstan.registry import type_name

_SHARD = 'mmstan.FullyShard'
_FLEXIBLE = 'FlexibleRunner'


def check_engine(cfg: Config) -> None:
    """Refuse a config of which strategy and runner, or strategy and settings, do not go together.

    Raises:
        ValueError: ``runner_type`` and ``strategy`` are not both set, or ``mmstan.FullyShard`` is
            to train in float16, with averaged weights, compiled, or with settings of DDP.
    """
    strategy, runner = _name(cfg.get('strategy')), str(cfg.get('runner_type') or 'Runner')
    if (strategy is None) == (runner == _FLEXIBLE):
        raise ValueError(
            f"runner_type='{runner}' with strategy={strategy}: set both, runner_type='{_FLEXIBLE}' "
            f"and strategy=dict(type='{_SHARD}'), or neither"
        )
    if strategy == _SHARD:
        _check_sharded(cfg)
    elif strategy is not None and strategy != 'DDPStrategy':
        print_log(
            f'strategy {strategy} is not tested here, and exact resuming is not promised; '
            f'{_SHARD} shards parameters, gradients and optimiser state',
            'current',
            logging.WARNING,
        )


def _check_sharded(cfg: Config) -> None:
    wrapper = cfg.get('optim_wrapper') or {}
    half = type_name(wrapper.get('type', '')) == 'AmpOptimWrapper'
    refused = {
        'optim_wrapper.dtype': half and str(wrapper.get('dtype')) != 'bfloat16',
        'EMAHook': any(_name(hook) == 'EMAHook' for hook in cfg.get('custom_hooks') or ()),
        'compile': bool(cfg.get('compile')),
        'sync_bn': cfg.get('sync_bn') is not None,
        'find_unused_parameters': bool(cfg.get('find_unused_parameters')),
        'model_wrapper_cfg': cfg.get('model_wrapper_cfg') is not None,
    }
    for key in (key for key, found in refused.items() if found):
        raise ValueError(f'{key}: {_SHARD} {_REASONS[key]}')


_REASONS = {
    'optim_wrapper.dtype': 'trains in float32 or bfloat16, since float16 needs a loss scale that '
    'all processes share; take --amp bfloat16',
    'EMAHook': 'keeps a part of each weight, of which the hook would copy whole models; remove it '
    'from custom_hooks',
    'compile': 'does not compile; leave it out',
    'sync_bn': 'has it as its own setting; set strategy.sync_bn',
    'find_unused_parameters': 'waits for no parameter; it is a setting of DDP, remove it',
    'model_wrapper_cfg': 'wraps the model itself; it is a setting of DDP, remove it',
}


def _name(node: Any) -> str | None:
    return None if node is None else type_name(node['type'])


def drop_sharding(cfg: Config) -> None:
    """Let MMEngine's plain runner run a config of ``mmstan.FullyShard``: its checkpoints are whole.

    For one process, which has nothing to share, and for tests.
    """
    if _name(cfg.get('strategy')) == _SHARD:
        cfg.pop('strategy')
        cfg.pop('runner_type', None)
