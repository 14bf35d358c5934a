"""``torch.compile`` for the parts of a model that cost time."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from mmengine.logging import print_log
from torch import nn

from mmstan.compat.state_dicts import unwrap_model

_PARTS = ('backbone', 'text_tower')
# What models call of a backbone other than itself: detectors its map, losses over tokens the rest.
_METHODS = ('tokens', 'feature_map', 'parts')


def compile_model(model: nn.Module, *, backend: str | Callable[..., Any] = 'inductor') -> None:
    """Compile the backbone, and a retrieval model's text tower, in place.

    Training, validation and tests run them. A recognizer's text tower, which is its head's, stays.

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
        part = getattr(inner, name)
        part.compile(backend=backend)
        # `compile` is for calls of the module alone. As bound methods, they follow a deep copy.
        for method in (x for x in _METHODS if hasattr(type(part), x)):
            compiled = torch.compile(getattr(type(part), method), backend=backend)
            setattr(part, method, MethodType(compiled, part))
    print_log(f'compiled at their first step, which takes a minute: {", ".join(parts)}', 'current')
