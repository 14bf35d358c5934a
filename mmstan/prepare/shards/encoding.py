"""One clip of a video -> a small MP4 in memory."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar, cast

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from mmstan.datasets.readers.base import brief
from mmstan.datasets.readers.play import play_pictures
from mmstan.datasets.readers.pyav import PyAVReader
from mmstan.datasets.readers.times import to_rate
from mmstan.datasets.readers.to_rgb import find_orientation, turn_upright

_LOST = 2  # frames of a whole video that may fail to decode, as in the reader
_EARLY = 1e-4  # seconds: a frame that comes so much later than its time still counts as there
# bf=0: no frame waits for a later one. threads=1: their number would change the bytes.
_OPTIONS = {
    'libx264': {'crf': '23', 'preset': 'veryfast', 'bf': '0', 'threads': '1'},
    'mpeg4': {'qscale': '4', 'threads': '1'},
}

_Shown = TypeVar('_Shown')


@dataclass(frozen=True)
class ClipEncoding:
    """How clips are encoded: MP4 without audio, upright, at an even frame rate.

    Attributes:
        short_side: Pixels of the shorter side; smaller videos keep their size. Sides are even.
        fps: Frames a second; videos with fewer keep theirs.
        gop: Frames from one key frame to the next; 1: every frame is one.
    """

    short_side: int = 256
    fps: float = 8.0
    gop: int = 1

    def __post_init__(self) -> None:
        for name, least in (('short_side', 16), ('fps', 0.1), ('gop', 1)):
            value = getattr(self, name)
            if not value >= least:
                option = name.replace('_', '-')
                raise ValueError(f'--{option} {value} must be {least} or more: give a larger one')

    @property
    def codec(self) -> str:
        """Name of the encoder: x264, or FFmpeg's own MPEG-4 where PyAV has no x264."""
        return 'libx264' if 'libx264' in av.codecs_available else 'mpeg4'

    def __str__(self) -> str:
        codec = 'H.264' if self.codec == 'libx264' else 'MPEG-4 (this PyAV has no x264)'
        keys = 'every frame a key frame' if self.gop == 1 else f'a key frame every {self.gop}'
        return f'{codec}, short side {self.short_side}, {self.fps:g} frames/s, {keys}'

    def fit(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the clip, even and no larger than the video's.

        >>> ClipEncoding().fit(720, 1280), ClipEncoding().fit(101, 99)
        ((256, 456), (100, 98))
        """
        scale = min(self.short_side / min(height, width), 1.0)
        fitted = (min(round(side * scale / 2), side // 2) for side in (height, width))
        return tuple(2 * max(half, 1) for half in fitted)  # type: ignore[return-value]


@dataclass(frozen=True)
class EncodedClip:
    """A clip in memory.

    Attributes:
        data: The bytes of the MP4.
        frames: Number of frames.
        fps: Frames a second.
        size: (height, width) in pixels.
        size_before: (height, width) of the video, upright.
    """

    data: bytes
    frames: int
    fps: float
    size: tuple[int, int]
    size_before: tuple[int, int]


def encode_clip(
    reader: PyAVReader, encoding: ClipEncoding, start: float = 0.0, end: float | None = None
) -> EncodedClip:
    """Encode the seconds from ``start`` to ``end`` of an open video.

    Frame k is the one that the video shows at ``start + k / fps`` seconds.

    Raises:
        BrokenVideoError: Frames cannot be decoded or encoded, or the video ends before ``start``.
    """
    rate = to_rate(min(encoding.fps, reader.avg_fps))
    shown = _Counted(play_pictures(reader, start))
    try:
        writer = _Writer(encoding, rate)
        for picture in sample_times(shown, start, end, float(rate), 1 / reader.avg_fps):
            writer.add(picture)
        data = writer.close()
    except av.FFmpegError as error:
        raise reader.broken(f'cannot be encoded again ({brief(error)})') from error
    whole = start == 0 and end is None
    if whole and reader.num_frames - shown.number > _LOST:
        raise reader.broken(
            f'is damaged: {shown.number} of its {reader.num_frames} frames are decoded'
        )
    if not writer.frames:
        raise reader.broken(f'ends before second {start:g}')
    return EncodedClip(data, writer.frames, float(rate), writer.size, writer.size_before)


def sample_times(
    shown: Iterable[tuple[float, _Shown]], start: float, end: float | None, rate: float, last: float
) -> Iterator[_Shown]:
    """The frame on display at ``start``, ``start + 1/rate``, ... before ``end``.

    >>> frames = [(0.0, 'a'), (0.4, 'b'), (0.5, 'c'), (2.0, 'd')]
    >>> ''.join(sample_times(frames, 0, None, rate=2, last=0.5))
    'acccd'

    Args:
        shown: Seconds at which frames appear, and the frames; the first is on display at ``start``.
        start: Second of the first frame.
        end: Second before which it ends; None for the video's end.
        rate: Frames a second.
        last: Seconds for which the video's last frame is on display.
    """
    stop = math.inf if end is None else end
    count, on_display, appeared = 0, None, 0.0
    for seconds, frame in shown:
        while on_display is not None and start + count / rate < min(seconds - _EARLY, stop):
            yield on_display
            count += 1
        if seconds >= stop:
            return
        on_display, appeared = frame, seconds
    while on_display is not None and start + count / rate < min(appeared + last, stop) - _EARLY:
        yield on_display
        count += 1


class _Counted(Iterator[tuple[float, av.VideoFrame]]):
    """Counts the items that it passes on."""

    def __init__(self, items: Iterator[tuple[float, av.VideoFrame]]) -> None:
        self.number, self._items = 0, items

    def __next__(self) -> tuple[float, av.VideoFrame]:
        item = next(self._items)
        self.number += 1
        return item


class _Writer:
    """An MP4 in memory with one stream, whose size the first picture decides."""

    def __init__(self, encoding: ClipEncoding, rate: Fraction) -> None:
        self.frames = 0
        self.size = self.size_before = (0, 0)  # (height, width), upright
        self._encoding, self._file = encoding, io.BytesIO()
        # Two, for each prepares itself anew whenever sizes or formats change.
        self._scale, self._to_yuv = VideoReformatter(), VideoReformatter()
        # bitexact: nothing of the muxer's version
        options = {'fflags': '+bitexact'}
        self._container = av.open(self._file, 'w', format='mp4', options=options)
        options = {**_OPTIONS[encoding.codec], 'g': str(encoding.gop)}
        stream = self._container.add_stream(encoding.codec, rate=rate, options=options)
        self._stream = cast(VideoStream, stream)
        self._stream.pix_fmt = 'yuv420p'
        self._stream.codec_context.thread_count = 1

    def add(self, picture: av.VideoFrame) -> None:
        """Append a picture as it was decoded: scaled, then turned upright."""
        if not self.frames:
            self._stored = self._encoding.fit(picture.height, picture.width)
            self._orientation = find_orientation(picture)
        upright = self._scale_upright(picture)
        if not self.frames:
            height, width = picture.height, picture.width
            self.size_before = (width, height) if self._orientation[0] else (height, width)
            self._stream.height, self._stream.width = self.size = upright.shape[:2]
        frame = av.VideoFrame.from_ndarray(upright, 'rgb24')
        yuv = self._to_yuv.reformat(frame, format='yuv420p', threads=1)
        self._container.mux(self._stream.encode(yuv))
        self.frames += 1

    def _scale_upright(self, picture: av.VideoFrame) -> np.ndarray:
        height, width = self._stored
        small = self._scale.reformat(
            picture, width, height, 'rgb24', interpolation=Interpolation.AREA, threads=1
        )
        return turn_upright(small.to_ndarray(), self._orientation)

    def close(self) -> bytes:
        """Write the frames that the encoder holds back, and the index; the bytes of the file."""
        if self.frames:
            self._container.mux(self._stream.encode())
        self._container.close()
        return self._file.getvalue()
