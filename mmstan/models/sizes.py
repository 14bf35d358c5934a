"""Sizes of a model's narrow form, in which a config is tried in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Sizes that replace a config's own in its narrow form; None keeps the config's.

    A class whose config needs further changes has a class method ``narrowed(cfg, sizes)``, which
    gives the settings of ``cfg`` that change.

    Attributes:
        width: Width of both towers' tokens.
        heads: Heads of both towers' attention.
        joint: Width of the joint space.
        text_layers: Blocks of the text tower.
        layers: Blocks of the image tower. The levels of a branch keep their distance from the last
            block.
        image_size: Pixels of a side.
        patch_size: Pixels of a patch's side.
        hidden: Width of adapters.
        frames: Frames of a clip.
        sharpness: Sharpness of a softmax over similarities.
        pretrained: Weights of towers of these sizes; here None means no weights.
    """

    width: int
    heads: int
    joint: int
    text_layers: int
    layers: int | None = None
    image_size: int | None = None
    patch_size: int | None = None
    hidden: int | None = None
    frames: int | None = None
    sharpness: float | None = None
    pretrained: str | None = None
