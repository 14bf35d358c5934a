"""The fused AdamW of the schedules: the same numbers, in fewer passes over the parameters."""

import math
from pathlib import Path

import pytest
import torch
from helpers.resumed_run import BATCHES, make_config, read_losses
from mmengine.config import Config
from mmengine.runner import Runner

SCHEDULES = sorted(Path(__file__).parents[2].glob('configs/_base_/schedules/*.py'))


@pytest.mark.parametrize('schedule', SCHEDULES, ids=lambda path: path.stem)
def test_every_schedule_but_the_quickstarts_is_fused(schedule: Path) -> None:
    """The published figures of Moving Shapes were made with the plain one."""
    optimizer = Config.fromfile(schedule).optim_wrapper.optimizer
    assert optimizer.get('fused', False) == (not schedule.stem.startswith('moving_shapes'))


@pytest.mark.parametrize('decay', [0.0, 0.05])
def test_fused_equals_plain(decay: float) -> None:
    """Twenty steps, gradients of five orders of magnitude, missing gradients."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(300, 20), (1000,), (7, 3, 2), (1,)]
    starts = [torch.randn(shape, generator=generator) for shape in shapes]
    runs = []
    for fused in (False, True):
        parameters = [torch.nn.Parameter(x.clone()) for x in starts]
        settings = dict(lr=1e-2, betas=(0.9, 0.98), eps=1e-8, weight_decay=decay)
        optimizer = torch.optim.AdamW(parameters, fused=fused, foreach=False, **settings)
        generator.manual_seed(1)
        for step in range(20):
            for i, parameter in enumerate(parameters):
                gradient = torch.randn(parameter.shape, generator=generator) * 10.0 ** -(i + 1)
                parameter.grad = None if step % 3 == i else gradient
            optimizer.step()
        runs.append(parameters)
    for plain, fused in zip(*runs):
        assert (plain - fused).abs().max() <= 1e-6


def test_mixed_precision_takes_it(work_dir: Path) -> None:
    cfg = make_config(work_dir)
    cfg.train_cfg.max_epochs = 1
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.optim_wrapper.optimizer.fused = True
    cfg.optim_wrapper.update(type='AmpOptimWrapper', dtype='bfloat16', clip_grad=dict(max_norm=1))
    Runner.from_cfg(cfg).train()
    losses = [loss for _, loss in read_losses(work_dir / 'losses.txt')]
    assert len(losses) == BATCHES and all(map(math.isfinite, losses))
