"""The keys that the dicts of a config may have, by their place in it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from mmaction.models import recognizers
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing
from torch.utils.data import DataLoader

from mmstan.config.types import Arguments, find_arguments, find_classes
from mmstan.registry import type_name


def _list_parameters(function: Any, *extra: str) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters) - {'self', 'kwargs'} | {*extra}


RUNNER_KEYS = _list_parameters(
    Runner.__init__,
    # Keys that the runner and its builder read from the config.
    'model_wrapper_cfg', 'find_unused_parameters', 'sync_bn', 'activation_checkpointing',
    'efficient_conv_bn_eval', 'compile', 'runner_type', 'strategy',
    # Config.fromfile
    'custom_imports',
    # tools/test.py, and the loader of checkpoints
    'test_splits', 'allow_missing',
) - {'cfg'}  # fmt: skip
"""The keys at the top of a config that code reads; all others are variables of the file."""

META = frozenset(('type', '_scope_', '_delete_'))
"""Keys of every dict that a registry builds."""

_LOADER = _list_parameters(DataLoader, 'num_batch_per_epoch', 'disable_subprocess_warning')
_CLOSED = {
    ('train_dataloader',): _LOADER,
    ('val_dataloader',): _LOADER,
    ('test_dataloader',): _LOADER,
    ('val_cfg', 'bank_dataloader'): _LOADER,
    ('test_cfg', 'bank_dataloader'): _LOADER,
    ('auto_scale_lr',): frozenset(('enable', 'base_batch_size')),
    ('env_cfg',): frozenset(('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit')),
    ('env_cfg', 'mp_cfg'): _list_parameters(set_multi_processing),
    ('randomness',): _list_parameters(Runner.set_randomness),
    ('compile',): _list_parameters(torch.compile),
    ('custom_imports',): frozenset(('imports', 'allow_failed_imports')),
    ('optim_wrapper', 'clip_grad'): _list_parameters(
        torch.nn.utils.clip_grad_norm_, 'clip_value', 'type'
    ),
}
# The keys of MMEngine's constructor; ParamGroups refuses unknown keys itself.
_PARAMWISE = frozenset((
    'custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'dwconv_decay_mult',
    'flat_decay_mult', 'bypass_duplicate', 'dcn_offset_lr_mult',
))  # fmt: skip
_RECOGNIZER_TEST = frozenset(('max_testing_views', 'feature_extraction', 'fcn_test', 'num_segs'))
_CONSTRUCTORS = ('DefaultOptimWrapperConstructor', 'mmstan.ParamGroups')

DEFAULT_HOOKS: dict[str, dict[str, Any]] = dict(
    runtime_info=dict(type='RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    logger=dict(type='LoggerHook'),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1),
)
"""The hooks that MMEngine registers by itself, which a config need not repeat."""


def list_closed_keys(place: tuple[str, ...], cfg: Mapping[str, Any]) -> frozenset[str] | None:
    """List all keys of a dict without ``type`` that MMEngine or MMAction2 read; None: unknown."""
    if place in _CLOSED:
        return _CLOSED[place]
    wrapper, model = cfg.get('optim_wrapper') or {}, cfg.get('model') or {}
    if place == ('optim_wrapper', 'paramwise_cfg'):
        constructor = type_name(wrapper.get('constructor', 'DefaultOptimWrapperConstructor'))
        return _PARAMWISE if constructor == 'DefaultOptimWrapperConstructor' else None
    if place == ('model', 'test_cfg'):
        kinds = find_classes(model.get('type'), cfg.get('default_scope'))
        stock = {getattr(recognizers, kind.__name__, None) is kind for kind in kinds}
        return _RECOGNIZER_TEST if stock == {True} else None
    return None


def find_keys(place: tuple[str, ...], node: Mapping[str, Any], cfg: Mapping[str, Any]) -> Arguments:
    """Find the keys that ``node``, the dict at ``place``, may have.

    Args:
        place: The keys that lead to the dict, ``('train_dataloader', 'dataset')``.
        node: The dict itself.
        cfg: The whole config.
    """
    if not place:
        return Arguments(RUNNER_KEYS | _find_runner_arguments(cfg), False)
    if place == ('default_hooks',):
        return Arguments(frozenset(DEFAULT_HOOKS), False)
    closed = list_closed_keys(place, cfg)
    if closed is not None:
        return Arguments(closed | {'_delete_'}, False)
    if place[-1].endswith('_cfg') and len(place) > 1:  # their builders remove keys first
        return Arguments(frozenset(), True)
    kind = node.get('type') or _find_default_type(place, node)
    classes = find_classes(kind, node.get('_scope_') or cfg.get('default_scope'))
    if not classes:
        return Arguments(frozenset(), True)
    known = [find_arguments(cls) for cls in classes]
    names = META.union(*(arguments.names for arguments in known), *map(list_early_keys, classes))
    more = any(arguments.more for arguments in known)
    if place == ('optim_wrapper',) and node.get('constructor'):
        more = type_name(node['constructor']) not in _CONSTRUCTORS
    return Arguments(names, more)


def _find_runner_arguments(cfg: Mapping[str, Any]) -> frozenset[str]:
    kinds = find_classes(cfg['runner_type']) if cfg.get('runner_type') else []
    return frozenset().union(*(find_arguments(kind).names for kind in kinds))


def _find_default_type(place: tuple[str, ...], node: Mapping[str, Any]) -> str | None:
    """Return the ``type`` that MMEngine puts in where the config gives none."""
    if place == ('train_cfg',):
        return 'EpochBasedTrainLoop' if node.get('by_epoch', True) else 'IterBasedTrainLoop'
    if place[0] == 'default_hooks' and len(place) == 2:
        return DEFAULT_HOOKS.get(place[1], {}).get('type')
    defaults = dict(
        val_cfg='ValLoop', test_cfg='TestLoop', optim_wrapper='OptimWrapper',
        log_processor='LogProcessor', visualizer='Visualizer',
    )  # fmt: skip
    return defaults.get(place[0]) if len(place) == 1 else None


def list_early_keys(cls: Any) -> frozenset[str]:
    """List the keys that MMEngine takes out of a config before it builds ``cls``."""
    if not inspect.isclass(cls):
        return frozenset()
    if issubclass(cls, Hook):
        return frozenset(('priority',))
    if issubclass(cls, _ParamScheduler):
        return frozenset(('convert_to_iter_based',))
    if issubclass(cls, OptimWrapper):
        return frozenset(('constructor', 'paramwise_cfg'))
    return frozenset()
