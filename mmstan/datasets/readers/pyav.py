"""Reading with PyAV: decode the wanted groups of pictures, and nothing else."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import chain, islice
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from mmstan.datasets.readers.base import BrokenVideoError, VideoReader
from mmstan.datasets.readers.packets import PacketIndex
from mmstan.datasets.readers.to_rgb import find_orientation, to_rgb

# Compressed packets of files up to this size stay in memory between counting and decoding, and so
# do the decoded pictures, up to the other size, of a video that had to be decoded to be counted.
_KEEP_BYTES = 64 << 20
_KEEP_PICTURES = 256 << 20
# A coded picture that is never shown (VP8's hidden references, dropped frames of old AVIs) is
# replaced by the one on display; a longer gap is damage.
MAX_HIDDEN = 2


class PyAVReader(VideoReader):
    """The frames that a player shows, so that variable frame rates and B-frames come out right.

    Opening demultiplexes the file once, without decoding: the time stamps in ascending order are
    the display order. Where they do not say what is shown (:meth:`PacketIndex.is_steady`; an AVI
    has none) all of it is decoded once from the start and counted. The display matrix is applied;
    edit lists are FFmpeg's.
    """

    def _open(self) -> None:
        self._orientation: tuple[bool, bool, bool] | None = None
        self._open_container()
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.avg_fps = float(rate) if rate else 1.0
        self._index_packets()
        self._pictures: list[av.VideoFrame] | None = None
        self._counts = self._container.format.name == 'avi' or not self.index.is_steady()
        if self._counts:
            self._count_pictures()
        else:
            self._display = self.index.display_order()
            self.num_frames = len(self._display)
            ticks = np.array(self._display, np.float64) - self._display[:1]
            self.times = ticks * float(self._stream.time_base or 1)

    def _open_container(self) -> None:
        if not isinstance(self.source, str):
            self.source.seek(0)
        self._container = av.open(self.source, 'r', metadata_errors='replace')
        self._stream = find_stream(self._container, self.filename)
        # FFmpeg's frame threads can deadlock in forked workers (PyAV issue 1962).
        context = self._stream.codec_context
        context.thread_type, context.thread_count = 'SLICE', 1

    def _index_packets(self) -> None:
        keep = self.size <= _KEEP_BYTES
        self._packets: list[av.Packet] | None = [] if keep else None
        self.index = PacketIndex()
        for packet in self._demux():
            if self._packets is not None:
                self._packets.append(packet)
            self.index.add(packet)
        self._check_complete(len(self.index.pts))

    def _demux(self) -> Iterator[av.Packet]:
        for packet in self._container.demux(self._stream):
            if packet.size:  # the last one, empty, only flushes
                yield packet

    def _check_complete(self, num_packets: int) -> None:
        """An MP4 whose index comes first promises packets that a cut file does not hold."""
        entries = self._stream.index_entries
        if 'mp4' not in self._container.format.name or num_packets > len(entries):
            return
        lost = sum(entry.pos + entry.size > self.size for entry in entries)
        if lost:
            raise self.broken(f'is truncated ({lost} of its {len(entries)} frames are missing)')

    def _count_pictures(self) -> None:
        """Decode everything as a player does, and keep the pictures while they are few.

        Packets that fail before the first picture (their key frame was cut off) or after the last
        one (they were cut themselves) are not counted; failures in between are damage.
        """
        kept: list[av.VideoFrame] = []
        bytes_kept = self.num_frames = 0
        failed: list[int] = []
        first, last = 0, 0  # packets with which the first picture came, and the last good one
        for position, pictures in enumerate(self._decode_packets(self._source())):
            if pictures is None:
                failed.append(position)
                continue
            if pictures and not self.num_frames:
                first = position
            last = position
            self.num_frames += len(pictures)
            bytes_kept += sum(plane.buffer_size for x in pictures for plane in x.planes)
            kept += pictures
            if bytes_kept > _KEEP_PICTURES:
                kept.clear()
        lost = sum(first < position < last for position in failed)
        if not self.num_frames:
            raise self.broken('holds no frame that can be decoded')
        if lost > MAX_HIDDEN:
            raise self.broken(f'is damaged: {lost} of its frames cannot be decoded')
        self._pictures = kept if bytes_kept <= _KEEP_PICTURES else None

    def _decode(self, wanted: list[int]) -> list[np.ndarray]:
        frames: dict[int, np.ndarray] = {}
        for decode in (self._decode_groups, self._decode_from_start):
            if not self._counts and len(frames) < len(wanted):
                frames = decode(wanted)
        if self._counts:
            return self._take_in_order(wanted)
        missing = [index for index in wanted if index not in frames]
        if missing:
            raise self.broken(f'frame {missing[0]} of {self.num_frames} cannot be decoded')
        return [frames[index] for index in wanted]

    def _take_in_order(self, wanted: list[int]) -> list[np.ndarray]:
        """Frames by their number in the order in which they are decoded."""
        pictures = self._frames() if self._pictures is None else self._pictures
        frames = {
            number: self._to_rgb(picture)
            for number, picture in enumerate(islice(pictures, wanted[-1] + 1))
            if number in wanted
        }
        return [frames[index] for index in wanted]

    def _decode_groups(self, wanted: list[int]) -> dict[int, np.ndarray]:
        """The fast way: from the key frame before each wanted frame up to it.

        Nothing where a picture is damaged: a decoder patches it with those that came before.
        """
        numbers = {self._display[index]: index for index in wanted}
        packets = enumerate(self._source())
        frames: dict[int, np.ndarray] = {}
        for start, stop in self.index.runs(list(numbers)):
            run = (packet for i, packet in _up_to(packets, stop) if i >= start)
            last = None
            for pictures in self._decode_packets(run):
                if pictures is None or any(frame.is_corrupt for frame in pictures):
                    return {}
                for frame in pictures:
                    if frame.pts is None or (last is not None and frame.pts <= last):
                        self._count_instead()
                        return {}
                    last = frame.pts
                    if last in numbers:
                        frames[numbers[last]] = self._to_rgb(frame)
        return frames

    def _decode_from_start(self, wanted: list[int]) -> dict[int, np.ndarray]:
        """The plain way; the frame on display takes the place of those that are never shown."""
        frames: dict[int, np.ndarray] = {}
        last, on_display = -1, None
        for frame in self._frames():
            index = last if frame.pts is None else bisect_right(self._display, frame.pts) - 1
            if index <= last:
                self._count_instead()
                return {}
            frames.update(self._hold(on_display, last, min(index, last + 1 + MAX_HIDDEN), wanted))
            if index > wanted[-1]:
                return frames
            last, on_display = index, frame
        frames.update(self._hold(on_display, last, last + 1 + MAX_HIDDEN, wanted))
        return frames

    def _hold(
        self, frame: av.VideoFrame | None, first: int, end: int, wanted: list[int]
    ) -> dict[int, np.ndarray]:
        if frame is None:
            return {}
        return {index: self._to_rgb(frame) for index in wanted if first <= index < end}

    def _count_instead(self) -> None:
        """Go by the frames' order, since their time stamps turned out to be guesses."""
        before, self.times = self.num_frames, None
        self._count_pictures()
        if self.num_frames != before:
            counted, self.num_frames, self._pictures = self.num_frames, before, None
            raise self.broken(f'is damaged: {before} packets, but {counted} frames')
        self._counts = True

    def is_turned(self) -> bool:
        """Whether the first frame is stored otherwise than it is shown, by its display matrix."""
        return any(any(find_orientation(frame)) for frame in islice(self._frames(), 1))

    def _source(self) -> Iterator[av.Packet]:
        if self._packets is not None:
            return iter(self._packets)
        self._container.close()
        self._open_container()
        return self._demux()

    def _frames(self) -> Iterator[av.VideoFrame]:
        """All frames in display order, without what fails to decode."""
        for pictures in self._decode_packets(self._source()):
            yield from pictures or ()

    def _decode_packets(self, packets: Iterator[av.Packet]) -> Iterator[list[av.VideoFrame] | None]:
        """The pictures that come with each packet, and with the end; None where one fails."""
        self._stream.codec_context.flush_buffers()
        for packet in chain(packets, (None,)):
            try:
                yield self._stream.decode(packet)
            except av.FFmpegError:
                yield None

    def _to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        if self._orientation is None:
            self._orientation = find_orientation(frame)
        return to_rgb(frame, self._orientation)

    def close(self) -> None:
        """Close the container."""
        self._packets = self._pictures = None
        self._container.close()


def find_stream(container: InputContainer, filename: str) -> VideoStream:
    """The stream of pictures that a player shows; the cover of a sound file is none.

    Raises:
        BrokenVideoError: There is none, or it cannot be decoded.
    """
    stream = container.streams.best('video')
    if stream is None or stream.disposition & Disposition.attached_pic:
        raise BrokenVideoError(filename, 'has no video stream')
    if stream.codec_context is None:
        raise BrokenVideoError(
            filename, 'has a video stream that no decoder knows, or its header is lost'
        )
    return cast(VideoStream, stream)


def _up_to(packets: Iterator[tuple[int, av.Packet]], stop: int) -> Iterator[tuple[int, av.Packet]]:
    """Take up to and with position ``stop``, and leave the rest in ``packets``."""
    for position, packet in packets:
        yield position, packet
        if position == stop:
            return
