"""Sizes of a model's narrow form."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Sizes of towers; None keeps the config's own.

    Attributes:
        width: Of both towers' tokens.
        heads: Of both towers' attention.
        joint: Width of the joint space.
        text_layers: Blocks of the text tower.
        layers: Blocks of the image tower. Levels that a model reads stay as far from the last one
            as they are.
        image_size: Pixels of a side.
        patch_size: Pixels of a patch's side.
        hidden: Width of adapters.
    """

    width: int
    heads: int
    joint: int
    text_layers: int
    layers: int | None = None
    image_size: int | None = None
    patch_size: int | None = None
    hidden: int | None = None
