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

import importlib.util
import inspect
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmaction.registry import DATASETS, HOOKS
from mmengine.config import Config
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

import mmstan  # noqa: F401

Gradients = dict[str, torch.Tensor]
_TIMEOUT = 120  # seconds


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
        self.samples = _load(function)().samples

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


def _load(function: str) -> Callable[[], Case]:
    """``FILE:NAME`` -> the function."""
    path, _, name = function.rpartition(':')
    spec = importlib.util.spec_from_file_location('gloo_case', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def train_once(function: str, folder: Path) -> Gradients:
    """One iteration of the case, as the environment says alone or as one of several processes."""
    distributed = 'WORLD_SIZE' in os.environ
    world_size = int(os.environ.get('WORLD_SIZE', 1))
    case = _load(function)()
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
                optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
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


def distributed_gradients(function: str, folder: Path, *, processes: int) -> Gradients:
    """The same with several gloo processes on this machine."""
    folder.mkdir()
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    environment = dict(
        os.environ,
        PYTHONPATH=os.pathsep.join(sys.path),
        CUDA_VISIBLE_DEVICES='',
        OMP_NUM_THREADS='1',
        WORLD_SIZE=str(processes),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )
    command, running = [sys.executable, __file__, function, str(folder)], []
    for rank in map(str, range(processes)):
        with open(folder / f'rank{rank}.txt', 'wb') as output:
            ranked = dict(environment, RANK=rank, LOCAL_RANK=rank)
            running.append(subprocess.Popen(command, env=ranked, stdout=output, stderr=output))
    try:
        codes = [process.wait(_TIMEOUT) for process in running]
    finally:
        for process in running:
            process.kill()
    said = [(folder / f'rank{rank}.txt').read_text() for rank in range(processes)]
    assert not any(codes), '\n'.join(said)
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
    together = distributed_gradients(function, folder / 'together', processes=processes)
    alone = train_once(function, folder / 'alone')
    assert together.keys() == alone.keys()
    for name, gradient in alone.items():
        largest = gradient.abs().max().item()
        effect = no_effect is None or re.search(no_effect, name) is None
        assert largest > 100 * atol or not effect, f'{name}: too small a gradient to compare'
        error = (together[name] - gradient).abs().max().item()
        assert error <= atol * max(1, largest), f'{name}: {error:.1e} of {largest:.1e}'


if __name__ == '__main__':
    torch.set_num_threads(1)
    train_once(sys.argv[1], Path(sys.argv[2]))
