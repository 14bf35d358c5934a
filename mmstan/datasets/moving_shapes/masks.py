"""Where the moving shape is in the frames of a Moving Shapes video."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

_LEAST = 60
"""A pixel of the shape has a difference of channels above this; all else is grey."""


def find_colored_pixels(frames: np.ndarray) -> np.ndarray:
    """Pixels (T, H, W) of frames (T, H, W, 3), uint8 RGB, that the moving shape covers, bool.

    They are the ones with a colour, so a white shape has none.
    """
    channels = frames.astype(np.int16)
    return channels.max(axis=-1) - channels.min(axis=-1) > _LEAST


def is_of_moving_shapes(video: str | Path) -> bool:
    """Whether a file is one that the generator of Moving Shapes wrote."""
    folder = Path(video).parent
    scenes = folder.parent / f'{folder.name}_scenes.json'
    if not (scenes.is_file() and (folder.parent / 'manifest.json').is_file()):
        return False
    return f'{folder.name}/{Path(video).name}' in json.loads(scenes.read_text('utf-8'))
