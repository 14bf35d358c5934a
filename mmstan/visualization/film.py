"""Draw videos as film strips."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes


def draw_film(axes: Axes, frames: np.ndarray) -> tuple[int, int]:
    """Draw frames (T, H, W, 3), uint8 RGB, from left to right.

    Returns the width and the height of a frame with its border, in the units of ``axes``.
    """
    framed = np.pad(frames, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255)
    axes.imshow(np.concatenate(framed, axis=1))
    axes.axis('off')
    return framed.shape[2], framed.shape[1]
