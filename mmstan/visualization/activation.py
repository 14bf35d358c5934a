"""Draw where a layer is active in the frames of a video (DiST Fig. 5b)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import Tensor

from mmstan.visualization.film import draw_film


def map_activations(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Length (L2 norm) of each token, scaled: 0 for the video's shortest, 1 for its longest.

    Args:
        tokens: Patches (T, L, C), without the class token.
        grid: Rows and columns of the patches.

    Returns:
        (T, rows, columns), float32; zeros where all tokens are equally long.

    >>> map_activations(torch.tensor([[[0.0, 1.0], [3.0, 4.0]]]), (1, 2)).tolist()
    [[[0.0, 1.0]]]
    """
    length = tokens.float().norm(dim=-1)
    length = length - length.min()
    return (length / length.max().clamp(min=1e-12)).unflatten(1, grid)


def draw_overlay(frames: np.ndarray, maps: Tensor, *, opacity: float = 0.5) -> np.ndarray:
    """Blend maps (T, h, w) in [0, 1], as colours, into frames (T, H, W, 3), uint8 RGB.

    Returns frames of the same shape and type.
    """
    size = frames.shape[1:3]
    smooth = F.interpolate(maps[:, None], size=size, mode='bilinear', align_corners=False)[:, 0]
    colors = 255 * colormaps['turbo'](smooth.clamp(0, 1).cpu().numpy())[..., :3]
    return np.rint((1 - opacity) * frames + opacity * colors).astype(np.uint8)


def draw_activations(
    path: str | Path, frames: np.ndarray, maps: Mapping[str, Tensor], *, title: str = ''
) -> None:
    """Write a picture of a video's frames and, below, a row of activation maps per layer.

    Args:
        path: Where to, ``.png``.
        frames: (T, H, W, 3) uint8 RGB.
        maps: Name of a layer -> its maps (T', h, w) in [0, 1], where T' divides T. Map i belongs to
            the first frame of the i-th of T' equal groups of frames.
        title: Above the picture.
    """
    width = min(max(1.1 * len(frames), 4), 20)  # inches
    figure = Figure(
        figsize=(width, 0.5 + (1 + len(maps)) * (width / len(frames) + 0.25)), layout='constrained'
    )
    figure.suptitle(title, fontsize=10, parse_math=False)
    rows = figure.subplots(1 + len(maps), squeeze=False)[:, 0]
    shown = {'frames': frames, **{name: covered(frames, of) for name, of in maps.items()}}
    for axes, (name, film) in zip(rows, shown.items()):
        draw_film(axes, film)
        axes.set_title(name, fontsize=9, loc='left', parse_math=False)
    figure.savefig(path, dpi=110)


def covered(frames: np.ndarray, maps: Tensor) -> np.ndarray:
    """Overlay each map on its frame; frames that the layer does not see become white.

    Raises:
        ValueError: The number of frames is no multiple of the number of maps.
    """
    # 8 frames, 4 maps: step 2, so the maps go to frames 0, 2, 4 and 6.
    step, rest = divmod(len(frames), len(maps))
    if rest or not step:
        raise ValueError(
            f'{len(maps)} maps for {len(frames)} frames: there must be one for each frame, or for '
            'each second, third ... of them'
        )
    film = np.full_like(frames, 255)
    film[::step] = draw_overlay(frames[::step], torch.as_tensor(maps))
    return film
