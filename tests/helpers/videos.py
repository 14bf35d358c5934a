"""Small video files for tests: every frame shows its own number, so that a mix-up is seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

_BITS = 6


def numbered_frames(num_frames: int, height: int = 48, width: int = 64) -> np.ndarray:
    """(T, H, W, 3) uint8: upper half the frame's number in black and white stripes, lower colours.

    The lower left is red and the lower right is blue, which tells the frame's orientation.
    """
    frames = np.zeros((num_frames, height, width, 3), np.uint8)
    for number, frame in enumerate(frames):
        for bit, columns in enumerate(np.array_split(np.arange(width), _BITS)):
            frame[: height // 2, columns] = 255 * (number >> bit & 1)
        frame[height // 2 :, : width // 2, 0] = 200
        frame[height // 2 :, width // 2 :, 2] = 200
    return frames


def frame_number(frame: np.ndarray) -> int:
    """The number that a (decoded) upright frame of ``numbered_frames`` shows."""
    stripes = np.array_split(frame[: frame.shape[0] // 4].mean((0, 2)), _BITS)
    return sum((int(stripe.mean() > 127)) << bit for bit, stripe in enumerate(stripes))


def write_video(
    path: Path,
    frames: np.ndarray,
    *,
    codec: str = 'libx264',
    pix_fmt: str = 'yuv420p',
    fps: int = 8,
    times: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    movflags: str = '',
) -> Path:
    """Encode ``frames`` (T, H, W, 3); ``times`` are milliseconds, for a variable frame rate."""
    with av.open(str(path), 'w', options={'movflags': movflags} if movflags else {}) as container:
        stream = container.add_stream(codec, rate=fps, options={'threads': '1', **(options or {})})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pix_fmt
        stream.codec_context.thread_count = 1
        if times is not None:
            from fractions import Fraction

            stream.codec_context.time_base = Fraction(1, 1000)
        for index, array in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), 'rgb24')
            if times is not None:
                frame.pts, frame.time_base = times[index], stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def set_display_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Write the upper left 2 x 2 of an MP4's track display matrix, as cameras do."""
    data = bytearray(path.read_bytes())
    start = data.index(b'tkhd') + 4 + 40  # a version 0 header: the matrix follows 40 bytes
    matrix = np.array([a, b, 0, c, d, 0, 0, 0, 0x4000], np.int64) << 16
    data[start : start + 36] = matrix.astype('>u4').tobytes()
    path.write_bytes(data)
    return path
