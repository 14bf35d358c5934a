"""All frames of a video in a row, as a player shows them."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, repeat

import av
import numpy as np

from mmstan.datasets.readers.base import VideoReader, to_one_size
from mmstan.datasets.readers.pyav import MAX_HIDDEN, PyAVReader

_CHUNK = 16  # frames that a reader decodes at once where it can seek


def read_all(reader: VideoReader) -> Iterator[np.ndarray]:
    """All ``num_frames`` frames in their order, (H, W, 3), uint8 RGB, a few in memory at a time.

    Where a frame is never shown or fails to decode, the one on display stays. As for
    :func:`read_in_order`, nothing else may be read before the end.

    Raises:
        BrokenVideoError: No frame can be decoded.
    """
    yield from _read(reader, range(reader.num_frames), most_late=reader.num_frames)


def read_in_order(reader: VideoReader, wanted: Sequence[int]) -> Iterator[np.ndarray]:
    """Frames (H, W, 3), uint8 RGB, of ascending numbers, a few in memory at a time.

    PyAV decodes the file once; ``reader.read`` would begin with its first packet each time. So
    nothing else may be read from ``reader`` before the end.

    Raises:
        BrokenVideoError: A frame cannot be decoded.
    """
    yield from _read(reader, wanted, most_late=MAX_HIDDEN)


def _read(reader: VideoReader, wanted: Sequence[int], most_late: int) -> Iterator[np.ndarray]:
    """Frames of ascending numbers; the picture on display may be ``most_late`` frames away."""
    if not isinstance(reader, PyAVReader):
        for start in range(0, len(wanted), _CHUNK):
            yield from reader.read(wanted[start : start + _CHUNK])
        return
    times, first = Counter(wanted), None
    for number, shown, picture in _show(reader):
        if number in times:
            if abs(number - shown) > most_late:
                raise reader.broken(f'frame {number} of {reader.num_frames} cannot be decoded')
            frame = reader._to_rgb(picture)
            first = frame if first is None else first
            yield from repeat(to_one_size(reader.filename, [first, frame])[1], times.pop(number))
        if not times:
            return


def _show(reader: PyAVReader) -> Iterator[tuple[int, int, av.VideoFrame]]:
    """The number of each frame, the number of the picture on display then, and this picture."""
    number, last = 0, None
    for found in _number(reader):
        last = last or found
        while number < found[0]:
            yield number, *last
            number += 1
        if number == found[0]:
            yield number, *found
            number += 1
        last = found
    if last is None:
        raise reader.broken('holds no frame that can be decoded')
    for rest in range(number, reader.num_frames):
        yield rest, *last


def _number(reader: PyAVReader) -> Iterator[tuple[int, av.VideoFrame]]:
    """Pictures with their numbers among the frames that a player shows."""
    if reader._counts:
        pictures = reader._frames() if reader._pictures is None else iter(reader._pictures)
        yield from enumerate(islice(pictures, reader.num_frames))
        return
    for picture in reader._frames():
        if picture.pts is not None:
            yield bisect_right(reader._display, picture.pts) - 1, picture


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
