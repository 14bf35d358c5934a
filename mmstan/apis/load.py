"""Build the model of a config and load its weights."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner, load_checkpoint
from torch import nn

from mmstan.config.engines import drop_sharding
from mmstan.config.walk import walk
from mmstan.engine.console import short_console_of_runners
from mmstan.engine.finite_scores import FiniteScores
from mmstan.wording import name_a_few


def build_runner(cfg: Config, *, sharded: bool = False) -> Runner:
    """Build the runner of a config; it refuses checkpoints that do not fit the model.

    Args:
        cfg: The config of a run.
        sharded: Keep a config's ``mmstan.FullyShard``, for training in several processes. Without
            it, and in one process, MMEngine's plain runner takes the config.
    """
    if not sharded or cfg.get('launcher', 'none') == 'none':
        drop_sharding(cfg)
    with short_console_of_runners():
        runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    runner.whole_checkpoints = True  # see mmstan.compat.checkpoints.load_strictly
    if sharded and hasattr(runner, 'strategy'):
        runner.strategy.allow_missing = cfg.get('allow_missing') or ()
    runner.register_hook(FiniteScores())
    return runner


def load_weights(model: Any, cfg: Config) -> None:
    """Load the checkpoint ``cfg.load_from`` into a model, or without it the pretrained weights.

    Raises:
        ValueError: The checkpoint does not fit, or the config names no weights at all.
        FileNotFoundError: The checkpoint does not exist.
    """
    refuse_random_weights(cfg)
    if cfg.get('load_from'):
        load_checkpoint(model, cfg.load_from, map_location='cpu', logger='current')
    else:
        init_pretrained(model)


def refuse_random_weights(cfg: Config) -> None:
    """Raise an error if the weights of a config's model would be random.

    Raises:
        ValueError: The config has neither a checkpoint nor a pretrained part.
    """
    if cfg.get('load_from') or any(map(_names_weights, walk(cfg.model))):
        return
    raise ValueError(
        f'{cfg.filename}: the weights would be random, since there is neither a checkpoint nor a '
        'pretrained tower; give the checkpoint behind the config, or set pretrained of the towers '
        "(--cfg-options model.backbone.tower.pretrained=openai, or a file's path)"
    )


def _names_weights(node: Any) -> bool:
    init_cfg = node.get('init_cfg') or ()
    inits = init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]
    return bool(node.get('pretrained')) or any('checkpoint' in init for init in inits)


def init_pretrained(model: nn.Module) -> None:
    """Load the pretrained weights of a model, and log which of its tensors have none."""
    model.init_weights()  # type: ignore[operator]
    pretrained = [
        name for name, module in model.named_modules() if getattr(module, 'pretrained', None)
    ]
    if not pretrained:  # a stock model, which does not say what is pretrained
        return
    beside = [
        name
        for name, _ in model.named_parameters()
        if not any(name.startswith(f'{tower}.') for tower in pretrained)
    ]
    if beside:
        print_log(
            f'no checkpoint is given: beside the pretrained {" and ".join(pretrained)}, '
            f'{len(beside)} tensors are as before training: {name_a_few(beside)}',
            'current',
            logging.WARNING,
        )
