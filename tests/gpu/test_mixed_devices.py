"""No tensor of a model stays on the CPU: found without a GPU, by fake tensors that know a device.

PyTorch's fake tensors have a shape and a device and no values. An operation on two devices fails as
on a GPU. Backward passes need a real GPU, and so does what reads values.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import pytest
import torch
from helpers.device_systems import (
    SYSTEMS,
    Batch,
    compute_outputs,
    make_batch,
    run_model,
    share_model,
)
from mmaction.structures import ActionDataSample
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

GPU = torch.device('cuda', 0)


@contextmanager
def pretended_gpu(system: str) -> Iterator[tuple[Any, Batch]]:
    """Within, a model with fake weights on a GPU, and its preprocessed batch there."""
    model: Any = deepcopy(share_model(system))
    data = model.data_preprocessor(make_batch(system), False)
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to_empty(device=GPU)
        yield (
            model,
            dict(
                inputs=data['inputs'].to(GPU),
                data_samples=[x.to(GPU) for x in data['data_samples']],
            ),
        )


@pytest.mark.parametrize('system', SYSTEMS)
@torch.no_grad()
def test_outputs(system: str) -> None:
    right = compute_outputs(share_model(system), make_batch(system))
    with pretended_gpu(system) as (model, data):
        found = run_model(model, data)
    assert [x.shape for x in found] == [x.shape for x in right]


@pytest.mark.parametrize('system', ['mug_stan', 'sequence', 'matching'])
def test_losses(system: str) -> None:
    with pretended_gpu(system) as (model, data):
        losses = model(**data, mode='loss')
    assert all(x.device == GPU for key, x in losses.items() if 'loss' in key)


class Forgetful(nn.Module):
    """Makes a table where it should not."""

    def forward(self, x: torch.Tensor, data_samples: list[ActionDataSample] | None = None) -> Any:
        return x + torch.arange(float(x.shape[-1])), {}


@torch.no_grad()
def test_such_a_fault_is_found() -> None:
    with pretended_gpu('tubes') as (model, data):
        model.neck = nn.Sequential()
        model.neck.forward = Forgetful().forward
        with pytest.raises(RuntimeError, match=r'cuda:0(,| and) cpu'):
            run_model(model, data)
