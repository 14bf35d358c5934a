"""Reading with PyAV: decode the wanted groups of pictures, and nothing else."""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections.abc import Iterator
from itertools import chain
from typing import Any, cast

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from mmstan.datasets.readers.base import VideoReader

# Compressed packets of files up to this size stay in memory between counting and decoding.
_KEEP_BYTES = 64 << 20
# A coded picture that is never shown (VP8's hidden references, dropped frames of old AVIs) is
# replaced by the one on display; a longer gap is damage.
_MAX_HIDDEN = 2


class PyAVReader(VideoReader):
    """Frames by presentation time stamp, so that variable frame rates and B-frames come out right.

    Opening demultiplexes the file once, without decoding: the time stamps in ascending order are
    the display order. Containers without usable time stamps (AVI) are decoded from the start and
    counted instead. The display matrix is applied; edit lists are FFmpeg's.
    """

    def _open(self) -> None:
        self._open_container()
        self._index_packets()
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.avg_fps = float(rate) if rate else 1.0
        self._orientation: tuple[bool, bool, bool] | None = None

    def _open_container(self) -> None:
        self._container = av.open(self.filename, metadata_errors='replace')
        stream = self._container.streams.best('video')
        if stream is None or stream.disposition & Disposition.attached_pic:
            raise self.broken('has no video stream')
        if stream.codec_context is None:
            raise self.broken('has a video stream that no decoder knows, or its header is lost')
        # FFmpeg's frame threads can deadlock in forked workers (PyAV issue 1962).
        stream.codec_context.thread_type, stream.codec_context.thread_count = 'SLICE', 1
        self._stream = cast(VideoStream, stream)

    def _index_packets(self) -> None:
        keep = os.path.getsize(self.filename) <= _KEEP_BYTES
        self._packets: list[av.Packet] | None = [] if keep else None
        self._pts: list[int | None] = []  # by packet, in decoding order
        self._keys: list[int] = []  # positions of the key frames' packets
        shown: list[int | None] = []
        for position, packet in enumerate(self._demux()):
            if self._packets is not None:
                self._packets.append(packet)
            self._pts.append(packet.pts)
            if packet.is_keyframe:
                self._keys.append(position)
            if not packet.is_discard:
                shown.append(packet.pts)
        self._check_complete(len(self._pts))
        self.num_frames = len(shown)
        self._counts = (
            'avi' in self._container.format.name
            or None in shown
            or len(set(shown)) < len(shown)
            or self._keys[:1] != [0]
        )
        if not self._counts:
            self._display: list[int] = sorted(pts for pts in shown if pts is not None)
            self._position = {pts: i for i, pts in enumerate(self._pts)}

    def _demux(self) -> Iterator[av.Packet]:
        for packet in self._container.demux(self._stream):
            if packet.size and not packet.is_corrupt:  # the last one, empty, only flushes
                yield packet

    def _check_complete(self, num_packets: int) -> None:
        """An MP4 whose index comes first promises packets that a cut file does not hold."""
        entries = self._stream.index_entries
        if 'mp4' not in self._container.format.name or num_packets >= len(entries):
            return
        size = os.path.getsize(self.filename)
        lost = sum(entry.pos + entry.size > size for entry in entries)
        if lost:
            raise self.broken(f'is truncated ({lost} of its {len(entries)} frames are missing)')

    def _decode(self, wanted: list[int]) -> list[np.ndarray]:
        frames: dict[int, np.ndarray] = {}
        if not self._counts:
            frames = self._decode_groups(wanted)
        if len(frames) < len(wanted):
            frames = self._decode_from_start(wanted)
        missing = [index for index in wanted if index not in frames]
        if missing:
            raise self.broken(f'frame {missing[0]} of {self.num_frames} cannot be decoded')
        return [frames[index] for index in wanted]

    def _decode_groups(self, wanted: list[int]) -> dict[int, np.ndarray]:
        """The fast way: from the key frame before each wanted frame up to it."""
        numbers = {self._display[index]: index for index in wanted}
        runs = self._runs(list(numbers))
        packets = enumerate(self._source())
        frames: dict[int, np.ndarray] = {}
        for start, stop in runs:
            run = (packet for i, packet in _up_to(packets, stop) if i >= start)
            last = None
            for frame in self._frames(run):
                if frame.pts is None or (last is not None and frame.pts <= last):
                    self._counts = True  # the container's time stamps are guesses
                    return {}
                last = frame.pts
                if last in numbers:
                    frames[numbers[last]] = self._to_rgb(frame)
        return frames

    def _runs(self, wanted_pts: list[int]) -> list[tuple[int, int]]:
        """av.Packet ranges (first, last) to decode, disjoint, each beginning at a key frame."""
        runs: list[tuple[int, int]] = []
        needed = []
        for pts in wanted_pts:
            position = self._position[pts]
            key = bisect_right(self._keys, position) - 1
            if pts < (self._pts[self._keys[key]] or 0) and key > 0:
                key -= 1  # an open group's leading frame refers to the group before
            needed.append((self._keys[key], position))
        for start, stop in sorted(needed):
            if runs and start <= runs[-1][1]:
                runs[-1] = (runs[-1][0], max(stop, runs[-1][1]))
            else:
                runs.append((start, stop))
        return runs

    def _decode_from_start(self, wanted: list[int]) -> dict[int, np.ndarray]:
        """The plain way, for time stamps that mislead and pictures that are never shown."""
        frames: dict[int, np.ndarray] = {}
        last, on_display = -1, None
        for frame in self._frames(self._source()):
            index = last + 1
            if not self._counts and frame.pts is not None:
                index = bisect_right(self._display, frame.pts) - 1
            frames.update(self._hold(on_display, last, min(index, last + 1 + _MAX_HIDDEN), wanted))
            if index > wanted[-1]:
                return frames
            last, on_display = index, frame
        frames.update(self._hold(on_display, last, last + 1 + _MAX_HIDDEN, wanted))
        return frames

    def _hold(
        self, frame: av.VideoFrame | None, first: int, end: int, wanted: list[int]
    ) -> dict[int, np.ndarray]:
        if frame is None:
            return {}
        return {index: self._to_rgb(frame) for index in wanted if first <= index < end}

    def _source(self) -> Iterator[av.Packet]:
        if self._packets is not None:
            return iter(self._packets)
        self._container.close()
        self._open_container()
        return self._demux()

    def _frames(self, packets: Iterator[av.Packet]) -> Iterator[av.VideoFrame]:
        """Decode ``packets`` to the last frame, in display order, without what fails to decode."""
        self._stream.codec_context.flush_buffers()
        for packet in chain(packets, (None,)):
            try:
                yield from self._stream.decode(packet)
            except av.FFmpegError:
                continue

    def _to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        if self._orientation is None:
            self._orientation = _orientation(frame)
        rgb = _local.reformatter.reformat(frame, format='rgb24', threads=1).to_ndarray()
        transpose, mirror, flip = self._orientation
        if transpose:
            rgb = rgb.transpose(1, 0, 2)
        return np.ascontiguousarray(rgb[:: -1 if flip else 1, :: -1 if mirror else 1])

    def close(self) -> None:
        """Close the container."""
        self._packets = None
        self._container.close()


class _Local(threading.local):
    """A colour converter a thread: making one costs more than decoding a small frame."""

    def __init__(self) -> None:
        self.reformatter = VideoReformatter()


_local = _Local()


def _up_to(packets: Iterator[tuple[int, av.Packet]], stop: int) -> Iterator[tuple[int, av.Packet]]:
    """Take up to and with position ``stop``, and leave the rest in ``packets``."""
    for position, packet in packets:
        yield position, packet
        if position == stop:
            return


def _orientation(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """Whether to transpose, then mirror left-right, then flip upside down, by the display matrix.

    The matrix ((a, b, u), (c, d, v), (x, y, w)) sends pixel (p, q) to (a p + c q, b p + d q)
    (FFmpeg's libavutil/display.h); only multiples of 90 degrees are applied.
    """
    data: Any = frame.side_data.get('DISPLAYMATRIX')
    if data is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(data, np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return True, c < 0, b < 0
    return False, a < 0, d < 0
