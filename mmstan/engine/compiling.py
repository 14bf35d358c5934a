"""``torch.compile`` for the parts of a model that cost time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmengine.logging import print_log
from torch import nn

from mmstan.compat.state_dicts import unwrap_model

_PARTS = ('backbone', 'text_tower')


def compile_model(model: nn.Module, *, backend: str | Callable[..., Any] = 'inductor') -> None:
    """Compile backbone and text tower in place; training, validation and tests run them.

    Names of parameters, and so checkpoints, stay. MMEngine's ``compile=True`` compiles the whole
    ``train_step``, with the optimiser in it, and not what a distributed model runs.

    Args:
        model: A model with a ``backbone``, bare or wrapped for distributed training.
        backend: A backend of ``torch.compile``.

    Raises:
        ValueError: The model has none of the parts.
    """
    inner: Any = unwrap_model(model)
    parts = [name for name in _PARTS if isinstance(getattr(inner, name, None), nn.Module)]
    if not parts:
        raise ValueError(f'a {type(inner).__name__} has neither {" nor ".join(_PARTS)} to compile')
    for name in parts:
        getattr(inner, name).compile(backend=backend)
    print_log(f'compiled at their first step, which takes a minute: {", ".join(parts)}', 'current')
