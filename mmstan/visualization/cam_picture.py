"""Draw the maps of layers below a video's frames."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from mmstan.visualization.activation import covered
from mmstan.visualization.film import draw_film

_ROW, _MATRIX = 0.3, 3.0  # inches: above a row of frames, and of a matrix


def draw_maps(
    path: str | Path,
    frames: np.ndarray,
    maps: Mapping[str, Tensor],
    matrices: Mapping[str, Tensor],
    *,
    title: str,
) -> None:
    """Write a picture of a video's frames and, below, a row of maps a name, then the matrices.

    Args:
        path: Where to, ``.png``.
        frames: (T, H, W, 3) uint8 RGB.
        maps: Name -> maps (T', h, w) in [0, 1], where T' divides T.
        matrices: Name -> which frames each frame hears, (T, T).
        title: Above the picture.
    """
    t, h, w = frames.shape[:3]
    width = min(max(1.1 * t, 5), 20)  # inches
    film = (1 + len(maps)) * (width / t * h / w + _ROW)
    matrix = _MATRIX if matrices else 0
    figure = Figure(figsize=(width, 0.6 + film + matrix), layout='constrained')
    figure.suptitle(textwrap.fill(title, int(12 * width)), fontsize=10, parse_math=False)
    parts: Any = figure.subfigures(2, height_ratios=[film, matrix]) if matrices else [figure]
    rows = parts[0].subplots(1 + len(maps), squeeze=False)[:, 0]
    shown = {'frames': frames, **{name: covered(frames, of) for name, of in maps.items()}}
    for axes, (name, strip) in zip(rows, shown.items()):
        draw_film(axes, strip)
        axes.set_title(name, fontsize=9, loc='left', parse_math=False)
    if matrices:
        places = parts[1].subplots(1, len(matrices), squeeze=False)[0]
        for axes, (name, of) in zip(places, matrices.items()):
            _draw_matrix(axes, name, of)
    figure.savefig(path, dpi=110)


def _draw_matrix(axes: Axes, name: str, matrix: Tensor) -> None:
    """Draw which frames (columns) each frame (row) hears."""
    axes.imshow(matrix.cpu().numpy(), cmap='viridis', vmin=0)
    numbers = [str(number) for number in range(1, len(matrix) + 1)]
    axes.set_xticks(range(len(matrix)), numbers, fontsize=7)
    axes.set_yticks(range(len(matrix)), numbers, fontsize=7)
    axes.set_xlabel('heard frame', fontsize=8)
    axes.set_ylabel('hearing frame', fontsize=8)
    axes.set_title(name, fontsize=9, parse_math=False)
