"""Decoded frames -> upright RGB arrays."""

from __future__ import annotations

import threading
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter


class _Local(threading.local):
    """A colour converter a thread: making one costs more than decoding a small frame."""

    def __init__(self) -> None:
        self.reformatter = VideoReformatter()


_local = _Local()


def to_rgb(frame: av.VideoFrame, orientation: tuple[bool, bool, bool]) -> np.ndarray:
    """Convert a decoded frame to (H, W, 3) uint8, turned by :func:`find_orientation`'s result."""
    rgb = _local.reformatter.reformat(frame, format='rgb24', threads=1).to_ndarray()
    return turn_upright(rgb, orientation)


def turn_upright(rgb: np.ndarray, orientation: tuple[bool, bool, bool]) -> np.ndarray:
    """Turn an array (H, W, 3) by :func:`find_orientation`'s result."""
    transpose, mirror, flip = orientation
    if transpose:
        rgb = rgb.transpose(1, 0, 2)
    return np.ascontiguousarray(rgb[:: -1 if flip else 1, :: -1 if mirror else 1])


def find_orientation(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """Read from the display matrix whether to transpose, then mirror left-right, then flip.

    The matrix ((a, b, u), (c, d, v), (x, y, w)) sends pixel (p, q) to (a p + c q, b p + d q)
    (FFmpeg's libavutil/display.h). Only multiples of 90 degrees are applied.
    """
    data: Any = frame.side_data.get('DISPLAYMATRIX')
    if data is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(data, np.int32)[:5].tolist()
    # b and c exchange rows and columns: they outweigh a and d for a quarter turn.
    if abs(b) + abs(c) > abs(a) + abs(d):
        return True, c < 0, b < 0
    return False, a < 0, d < 0
