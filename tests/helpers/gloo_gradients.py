"""Gradients of several gloo processes, to be compared with those of one process.

A case is a function of a test file that gives a model's config and one batch of packed samples::

    def case() -> Case:
        return Case(model=dict(type='Recognizer3D', ...), samples=[dict(inputs=...), ...])

    def test_case(tmp_path):
        assert_same_gradients(case, tmp_path)

The model must not depend on the division into batches otherwise: no batch normalisation, no
drop-out. Everything goes through Runner and MMDistributedDataParallel. Process r of two gets the
samples r, r + 2, ..., so the joined batch of a gathering loss is a permutation.
"""

import inspect
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from helpers.gloo_processes import load_function, run_ranks
from mmaction.registry import DATASETS, HOOKS
from mmengine.config import Config
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

import mmstan  # noqa: F401

Gradients = dict[str, torch.Tensor]


@dataclass
class Case:
    """A model's config and its batch."""

    model: dict[str, Any]
    samples: list[dict[str, Any]]


@DATASETS.register_module(force=True)
class ListedSamples(torch.utils.data.Dataset):
    """The samples of a case."""

    metainfo: dict[str, Any] = {}

    def __init__(self, function: str) -> None:
        self.samples = load_function(function)().samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.samples[index]


@HOOKS.register_module(force=True)
class SaveGradients(Hook):
    """Writes what the optimiser gets."""

    def before_train(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model

        def save(*_: Any) -> None:
            gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
            if is_main_process():
                torch.save(gradients, Path(runner.work_dir, 'gradients.pth'))

        runner.optim_wrapper.optimizer.register_step_pre_hook(save)


def train_once(folder: Path, function: str) -> Gradients:
    """One iteration of the case, as the environment says alone or as one of several processes."""
    distributed = 'WORLD_SIZE' in os.environ
    world_size = int(os.environ.get('WORLD_SIZE', 1))
    case = load_function(function)()
    assert len(case.samples) % world_size == 0
    loader = dict(
        batch_size=len(case.samples) // world_size,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(type='ListedSamples', function=function),
    )
    runner = Runner.from_cfg(
        Config(
            dict(
                default_scope='mmaction',
                model=case.model,
                train_dataloader=loader,
                train_cfg=dict(type='mmstan.EpochTrainLoop', max_epochs=1),
                # As in the schedules: DDP has to take the fused form.
                optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1, fused=True)),
                custom_hooks=[dict(type='SaveGradients'), dict(type='mmstan.SaveRNG')],
                # Each rank would begin with weights of its own if DDP did not share them.
                randomness=dict(seed=0, diff_rank_seed=True),
                launcher='pytorch' if distributed else 'none',
                env_cfg=dict(dist_cfg=dict(backend='gloo')),
                experiment_name=f'{folder.parent.name}-{folder.name}',
                work_dir=str(folder),
            )
        )
    )
    runner.train()
    assert get_world_size() == world_size
    assert is_model_wrapper(runner.model) == distributed
    return torch.load(folder / 'gradients.pth', weights_only=True)


def assert_same_gradients(
    case: Callable[[], Case],
    folder: Path,
    *,
    processes: int = 2,
    atol: float = 1e-6,
    no_effect: str | None = None,
) -> None:
    """Several processes give the gradients of one process with the joined batch.

    ``no_effect`` is a pattern of parameters that change nothing, such as a softmax's bias.
    """
    function = f'{inspect.getsourcefile(case)}:{case.__name__}'
    run_ranks(f'{__file__}:train_once', folder / 'together', function, processes=processes)
    together = torch.load(folder / 'together' / 'gradients.pth', weights_only=True)
    alone = train_once(folder / 'alone', function)
    assert together.keys() == alone.keys()
    for name, gradient in alone.items():
        largest = gradient.abs().max().item()
        effect = no_effect is None or re.search(no_effect, name) is None
        assert largest > 100 * atol or not effect, f'{name}: too small a gradient to compare'
        error = (together[name] - gradient).abs().max().item()
        assert error <= atol * max(1, largest), f'{name}: {error:.1e} of {largest:.1e}'
