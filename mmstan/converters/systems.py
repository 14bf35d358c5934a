"""The table of systems whose checkpoints can be converted; each method adds its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

Convert = Callable[..., dict[str, Tensor]]


class Converter(NamedTuple):
    """Both directions of one system's key map."""

    from_released: Convert
    """A released state dict -> ours."""
    to_released: Convert
    """Our state dict -> the released names."""


CONVERTERS: dict[str, Converter] = {}
"""Converters by the system's name; complete once :mod:`mmstan.methods` is imported."""


def register_converter(name: str, from_released: Convert, to_released: Convert) -> None:
    """Add a system.

    Args:
        name: Name of the system in ``tools/convert_checkpoint.py``.
        from_released: A released state dict -> ours.
        to_released: Our state dict -> the released names.

    Raises:
        ValueError: Another system has this name.
    """
    if name in CONVERTERS:
        raise ValueError(f"name='{name}' must differ from {sorted(CONVERTERS)}: choose another one")
    CONVERTERS[name] = Converter(from_released, to_released)
