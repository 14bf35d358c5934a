"""Encoding videos again, small and with many key frames, so that training reads them faster."""

from __future__ import annotations

import errno
import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import takewhile
from pathlib import Path
from threading import Event

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from mmstan.datasets.readers import BrokenVideoError
from mmstan.datasets.readers.base import brief
from mmstan.datasets.readers.play import play
from mmstan.datasets.readers.pyav import PyAVReader
from mmstan.datasets.readers.times import to_rate
from mmstan.prepare.check import Facts
from mmstan.prepare.entries import Entry
from mmstan.prepare.jobs import run_jobs

_CLOCK = 90_000  # ticks of a second, in which frame rates of cameras and films come out even
_LONGEST = 200  # bytes of a name; file systems take 255, with key and suffix
_LOST = 2  # frames of a whole video that may fail to decode, as in the reader


_NOT_THE_VIDEOS_FAULT = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES)


@dataclass(frozen=True)
class Encoding:
    """How videos are encoded: H.264 in MP4, without audio, each frame at its own time.

    Attributes:
        short_side: Pixels of the shorter side; smaller videos keep their size. None keeps all.
        gop: Frames from one key frame to the next.
    """

    short_side: int | None = 256
    gop: int = 16

    @classmethod
    def parse(cls, text: str) -> Encoding:
        """An encoding from ``short-side=256,gop=16``; either may be left out.

        Raises:
            ValueError: It is of another form, or a number is too small.
        """
        values = {}
        for part in filter(None, text.split(',')):
            key, _, value = (word.strip() for word in part.partition('='))
            least = {'short-side': 16, 'gop': 1}.get(key)
            if least is None or not value.isdecimal() or int(value) < least:
                raise ValueError(
                    f'--encode {text}: {part!r} is neither short-side=PIXELS (16 or more) nor '
                    'gop=FRAMES (1 or more); write --encode short-side=256,gop=16'
                )
            values[key.replace('-', '_')] = int(value)
        return cls(**values)

    def __str__(self) -> str:
        size = f'short side {self.short_side}' if self.short_side else 'size kept'
        return f'H.264, {size}, a key frame every {self.gop} frames or less, no audio'

    def fit(self, height: int, width: int) -> tuple[int, int]:
        """Height and width after encoding, even numbers.

        >>> Encoding().fit(720, 1280), Encoding().fit(101, 99)
        ((256, 456), (102, 100))
        """
        scale = min((self.short_side or math.inf) / min(height, width), 1.0)
        return tuple(max(2 * math.ceil(round(side * scale, 3) / 2), 2) for side in (height, width))  # type: ignore[return-value]


def name_target(entry: Entry, facts: Facts, encoding: Encoding) -> str:
    """The encoded file, relative to its folder: the name, and a key.

    The key is of name, content, part and settings, so that whatever lies under it is right.
    """
    made_of = (entry.name, facts.sha1, entry.start, entry.end, encoding.short_side, encoding.gop)
    key = hashlib.sha1(repr(made_of).encode()).hexdigest()[:8]
    folder, _, name = entry.name.rpartition('/')
    folder = 'elsewhere' if os.path.isabs(entry.name) else folder
    stem = (name.rpartition('.')[0] or name).strip().encode()[:_LONGEST].decode(errors='ignore')
    return os.path.join(folder, f'{stem}-{key}.mp4')


def encode_videos(
    entries: Sequence[Entry],
    facts: Mapping[str, Facts],
    encoding: Encoding,
    folder: Path,
    jobs: int,
) -> tuple[dict[Entry, str], dict[Entry, str], int]:
    """Encode each entry into a file of its own.

    Args:
        entries: Videos and parts.
        facts: By path.
        encoding: How.
        folder: Where the files go. Files that are there already are not made again; none is ever
            half written.
        jobs: Videos at a time.

    Returns:
        Paths by entry, problems by entry, and how many of the files were there already.

    Raises:
        OSError: A file cannot be written.
        ValueError: PyAV has no encoder.
    """
    if 'libx264' not in av.codecs_available:
        raise ValueError(
            'videos and parts are encoded with libx264, which this build of PyAV does not have; '
            'install it from a wheel: pip install --force-reinstall av'
        )
    targets = {
        entry: os.path.join(folder, name_target(entry, facts[entry.path], encoding))
        for entry in entries
    }
    waiting = {entry: path for entry, path in targets.items() if not os.path.exists(path)}
    by_video: dict[str, list[Entry]] = {}
    for entry in waiting:
        by_video.setdefault(entry.path, []).append(entry)

    def work(video: str, stop: Event) -> dict[Entry, str]:
        return _encode_parts(
            video, {entry: waiting[entry] for entry in by_video[video]}, encoding, stop
        )

    problems: dict[Entry, str] = {}
    for _, found in run_jobs(work, list(by_video), jobs):
        problems.update(found)
    made = {entry: path for entry, path in targets.items() if entry not in problems}
    return made, problems, len(targets) - len(waiting)


def _encode_parts(
    video: str, parts: Mapping[Entry, str], encoding: Encoding, stop: Event
) -> dict[Entry, str]:
    """Encode parts of one video; the problems of some."""
    problems = {}
    try:
        with PyAVReader(video) as reader:
            for entry, target in parts.items():
                if stop.is_set():
                    break
                try:
                    encode_part(reader, entry, target, encoding, stop)
                except BrokenVideoError as error:
                    problems[entry] = error.reason
    except BrokenVideoError as error:
        problems = dict.fromkeys(parts, error.reason)
    return problems


def encode_part(
    reader: PyAVReader, entry: Entry, target: str, encoding: Encoding, stop: Event
) -> None:
    """Encode the frames of ``entry`` to ``target``: under another name, then renamed.

    The frame on display at its start comes first, frames from its end on are left out. The times
    between frames stay as they are.

    Raises:
        BrokenVideoError: The frames cannot be decoded, or some are lost.
        OSError: The file cannot be written.
    """
    os.makedirs(os.path.dirname(target), exist_ok=True)
    part = f'{target}.part'
    try:
        written = _write_frames(reader, entry, part, encoding, stop)
    except av.FFmpegError as error:  # of the encoder or the file: the reader has errors of its own
        if error.errno in _NOT_THE_VIDEOS_FAULT:
            raise OSError(f'{part} cannot be written: {error.strerror}') from error
        raise reader.broken(f'cannot be encoded again ({brief(error)})') from error
    if stop.is_set():
        return
    lost = 0 if entry.is_part else reader.num_frames - written
    if not written or lost > _LOST:
        raise reader.broken(f'is damaged: {written} of its {reader.num_frames} frames are decoded')
    os.replace(part, target)


def _write_frames(
    reader: PyAVReader, entry: Entry, path: str, encoding: Encoding, stop: Event
) -> int:
    """Encode the frames of ``entry`` into ``path``, until ``stop`` is set; how many there are."""
    end = math.inf if entry.end is None else entry.end
    writer, first = None, 0.0
    try:
        for seconds, frame in takewhile(lambda shown: shown[0] < end, play(reader, entry.start)):
            if stop.is_set():
                break
            if writer is None:
                writer, first = _Writer(path, frame.shape[:2], reader.avg_fps, encoding), seconds
            writer.add(seconds - first, frame)
    finally:
        if writer is not None:
            writer.close()
    return writer.frames if writer is not None else 0


class _Writer:
    """An MP4 with one H.264 stream."""

    def __init__(self, path: str, size: tuple[int, int], fps: float, encoding: Encoding) -> None:
        self.frames = 0
        self._last = -1
        self._scale = VideoReformatter()
        self._container = av.open(path, 'w', format='mp4', options={'movflags': 'faststart'})
        rate = to_rate(fps)
        self._stream = self._container.add_stream('libx264', rate=rate)
        self._stream.height, self._stream.width = encoding.fit(*size)
        self._stream.pix_fmt = 'yuv420p'
        self._stream.options = {'crf': '23', 'preset': 'fast', 'bf': '0', 'g': str(encoding.gop)}
        self._stream.codec_context.thread_count = 1  # as many videos as there are jobs
        self._stream.codec_context.time_base = Fraction(1, _CLOCK)

    def add(self, seconds: float, frame: np.ndarray) -> None:
        """Append an RGB frame (H, W, 3) that is shown at ``seconds``."""
        picture = self._scale.reformat(
            av.VideoFrame.from_ndarray(frame, 'rgb24'),
            width=self._stream.width,
            height=self._stream.height,
            format='yuv420p',
            interpolation=Interpolation.AREA,
            threads=1,
        )
        # Two frames of one instant are both kept, a tick apart.
        self._last = max(round(seconds * _CLOCK), self._last + 1)
        picture.pts, picture.time_base = self._last, Fraction(1, _CLOCK)
        self._container.mux(self._stream.encode(picture))
        self.frames += 1

    def close(self) -> None:
        """Write the frames that the encoder holds back, and the index."""
        try:
            self._container.mux(self._stream.encode())
        finally:
            self._container.close()
