"""The units of a model that is sharded: which modules they are, and how they are entered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any

import torch
from torch import nn
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    MixedPrecisionPolicy,
    OffloadPolicy,
    fully_shard,
    register_fsdp_forward_method,
)

from mmstan.models.towers import Block

# Methods that compute with the parameters of a block, or of the model, outside of its `forward`.
_OF_BLOCKS = tuple(n for n, f in vars(Block).items() if callable(f) and n[0] != '_')
_OF_MODELS = ('encode_texts', 'encode_videos')


def shard_model(
    model: nn.Module, *, reshard: bool, cpu_offload: bool, param_dtype: torch.dtype | None
) -> int:
    """Shard a model over all processes: its units, then the rest as one; returns their number.

    Args:
        model: The model, with the same weights in every process.
        reshard: Free a unit's parameters after its forward pass. The rest of the model keeps its
            own, so that one process can score what all have encoded.
        cpu_offload: Keep the parts in the machine's memory.
        param_dtype: Precision of gathered parameters and of the computation, if another.
    """
    offload = CPUOffloadPolicy(pin_memory=torch.cuda.is_available())
    settings: dict[str, Any] = dict(
        # Without an output type: in open_clip a norm in float32 follows the blocks.
        mp_policy=MixedPrecisionPolicy(
            param_dtype=param_dtype, reduce_dtype=None if param_dtype is None else torch.float32
        ),
        offload_policy=offload if cpu_offload else OffloadPolicy(),
    )
    units = list(find_units(model))
    for unit in units:
        fully_shard(unit, reshard_after_forward=reshard, **settings)
        _open_methods(unit, [name for name in _OF_BLOCKS if hasattr(unit, name)])
    fully_shard(model, **settings)
    _open_methods(model, ['forward', *(name for name in _OF_MODELS if hasattr(model, name))])
    return len(units) + 1


def find_units(model: nn.Module) -> Iterator[nn.Module]:
    """Find the modules that ``shard_units()`` of parts names, without those inside of others."""
    named = {
        id(unit) for part in model.modules() if hasattr(part, 'shard_units') for unit in _list(part)
    }

    def visit(module: nn.Module) -> Iterator[nn.Module]:
        for child in module.children():
            if id(child) in named:
                yield child
            else:
                yield from visit(child)

    yield from visit(model)


def _list(part: Any) -> Sequence[nn.Module]:
    return part.shard_units()


def widen_scalars(model: nn.Module) -> set[str]:
    """Give parameters without a dimension one, since they cannot be divided; returns their names.

    A logit scale () becomes (1,).
    """
    names = {name for name, parameter in model.named_parameters() if parameter.ndim == 0}
    for name in names:
        owner, _, leaf = name.rpartition('.')
        old = model.get_parameter(name)
        new = nn.Parameter(old.detach().reshape(1), requires_grad=old.requires_grad)
        setattr(model.get_submodule(owner), leaf, new)
    return names


def _open_methods(unit: nn.Module, names: Sequence[str]) -> None:
    """Let methods gather the parameters as ``forward`` does, unless one of them runs already."""
    running = [0]
    for name in names:
        method = getattr(unit, name)
        setattr(unit, name, _count(method, running))
        if name != 'forward':  # its hooks are there already
            register_fsdp_forward_method(unit, name)
            setattr(unit, name, _choose(getattr(unit, name), method, running))


def _count(method: Callable[..., Any], running: list[int]) -> Callable[..., Any]:
    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        running[0] += 1
        try:
            return method(*args, **kwargs)
        finally:
            running[0] -= 1

    return call


def _choose(
    gathering: Callable[..., Any], plain: Callable[..., Any], running: list[int]
) -> Callable[..., Any]:
    @wraps(plain)
    def call(*args: Any, **kwargs: Any) -> Any:
        return (plain if running[0] else gathering)(*args, **kwargs)

    return call
