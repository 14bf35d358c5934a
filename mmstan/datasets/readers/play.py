"""All frames of a video in a row, as a player shows them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice

import av
import numpy as np

from mmstan.datasets.readers.pyav import PyAVReader


def play(reader: PyAVReader, start: float = 0.0) -> Iterator[tuple[float, np.ndarray]]:
    """RGB frames (H, W, 3), uint8, and the second at which each is shown, the video's first at 0.

    It begins with the frame on display at ``start``. Frames without times are evenly spaced. Frames
    that fail to decode are left out; ``reader.num_frames`` tells how many there should be.
    """
    for seconds, picture in play_pictures(reader, start):
        yield seconds, reader._to_rgb(picture)


def play_pictures(reader: PyAVReader, start: float = 0.0) -> Iterator[tuple[float, av.VideoFrame]]:
    """:func:`play` without the conversion: pictures as they are decoded, not turned upright."""
    yield from _count(reader, start) if reader._counts else _follow(reader, start)


def _count(reader: PyAVReader, start: float) -> Iterator[tuple[float, av.VideoFrame]]:
    """Pictures whose time is their number over the frame rate."""
    pictures = reader._frames() if reader._pictures is None else iter(reader._pictures)
    skipped = min(int(start * reader.avg_fps), reader.num_frames - 1)
    for number, picture in enumerate(islice(pictures, skipped, None), start=skipped):
        yield number / reader.avg_fps, picture


def _follow(reader: PyAVReader, start: float) -> Iterator[tuple[float, av.VideoFrame]]:
    """Pictures with time stamps, decoded from the key frame before ``start`` on."""
    tick = float(reader._stream.time_base or 1)
    zero = reader._display[0]
    begin = reader._display[max(bisect_right(reader._display, zero + start / tick) - 1, 0)]
    first, _ = reader.index.runs([begin])[0]
    for pictures in reader._decode_packets(islice(reader._source(), first, None)):
        for picture in pictures or ():
            if picture.pts is not None and picture.pts >= begin:
                yield (picture.pts - zero) * tick, picture
