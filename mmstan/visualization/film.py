"""Draw videos as film strips, and write video files."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from matplotlib.axes import Axes

from mmstan.datasets.readers.times import to_rate


def draw_film(axes: Axes, frames: np.ndarray) -> tuple[int, int]:
    """Draw frames (T, H, W, 3), uint8 RGB, from left to right.

    Returns the width and the height of a frame with its border, in the units of ``axes``.
    """
    framed = np.pad(frames, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255)
    axes.imshow(np.concatenate(framed, axis=1))
    axes.axis('off')
    return framed.shape[2], framed.shape[1]


def write_film(path: Path, frames: Iterable[np.ndarray], fps: float, *, gif: bool = False) -> None:
    """Write a video file, one frame after another.

    Args:
        path: The file; its folder is made.
        frames: Frames of one size, at least one, (H, W, 3) uint8 RGB.
        fps: Frames a second.
        gif: Write an animated GIF in the place of an MP4.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remaining = iter(frames)
    first = next(remaining)
    codec, pix_fmt = ('gif', 'rgb8') if gif else (_find_video_codec(), 'yuv420p')
    odd = [(0, first.shape[0] % 2), (0, first.shape[1] % 2), (0, 0)]
    with av.open(str(path), 'w') as container:
        stream: Any = container.add_stream(codec, rate=to_rate(fps))
        stream.height, stream.width = first.shape[0] + odd[0][1], first.shape[1] + odd[1][1]
        stream.pix_fmt = pix_fmt
        for frame in chain([first], remaining):
            frame = np.pad(frame, odd, mode='edge')  # colours are stored for 2 x 2 pixels
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, 'rgb24')))
        container.mux(stream.encode())


def _find_video_codec() -> str:
    return 'libx264' if 'libx264' in av.codecs_available else 'mpeg4'
