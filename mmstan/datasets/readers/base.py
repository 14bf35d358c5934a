"""The contract of video readers, and the error for a file that cannot be read."""

from __future__ import annotations

import io
import logging
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import BinaryIO

import mmcv
import numpy as np
from mmengine.logging import print_log
from typing_extensions import Self

from mmstan.datasets.readers.times import are_even

Choice = Callable[[int, float], Sequence[int] | np.ndarray]
"""(number of frames, frames a second) -> the frames to read."""


VideoSource = str | os.PathLike[str] | BinaryIO
"""Where a video is read from: its path, or an open binary file that can seek."""


class BrokenVideoError(RuntimeError):
    """A video that is missing or that cannot be read, ``FILENAME: reason``.

    ``reason`` may be left out because a DataLoader rebuilds a worker's error from its text alone.
    """

    def __init__(self, filename: str, reason: str = '') -> None:
        super().__init__(filename, reason)
        self.filename = filename
        self.reason = reason

    def __str__(self) -> str:
        return f'{self.filename}: {self.reason}' if self.reason else self.filename


class VideoReader(ABC):
    """One open video file; ``num_frames`` counts the frames that a player shows.

    Subclasses open the file in ``_open``, which sets ``num_frames`` and ``avg_fps`` (frames a
    second), and decode in ``_decode``; whatever either raises becomes a BrokenVideoError.
    """

    num_frames: int
    avg_fps: float
    times: np.ndarray | None = None
    """Seconds at which the frames are shown, the first at 0; None where they are unknown."""
    fall_back: Callable[[BrokenVideoError], VideoReader] | None = None
    """Opens the file with another reader, where this one fails."""

    def __init__(self, source: VideoSource) -> None:
        self.source: str | BinaryIO
        if isinstance(source, (str, os.PathLike)):
            self.source = self.filename = os.fspath(source)
            self.size = _check_file(self.filename)
        else:
            self.source, self.filename = source, name_source(source)
            self.size = source.seek(0, io.SEEK_END)
        if not self.size:
            raise self.broken('is empty (0 bytes)')
        try:
            self._open()
        except BrokenVideoError:
            raise
        except Exception as error:  # whatever a decoder raises
            raise self.broken(
                f'cannot be opened: it is no video, or parts of it are lost ({brief(error)})'
            ) from error
        if self.num_frames < 1:
            raise self.broken('holds no video frames')

    @abstractmethod
    def _open(self) -> None:
        """Open ``self.filename``."""

    @abstractmethod
    def _decode(self, wanted: list[int]) -> list[np.ndarray]:
        """RGB frames (H, W, 3), uint8, of the display positions ``wanted``: ascending, unique."""

    @property
    def uneven_times(self) -> np.ndarray | None:
        """``times`` where they tell more than ``avg_fps``; None for an even frame rate."""
        return None if self.times is None or are_even(self.times, self.avg_fps) else self.times

    def read(self, indices: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """RGB frames (H, W, 3), uint8, one an index, in the order asked for.

        No two of them share memory (stock transforms flip in place), also where an index repeats.
        All have the size of the first of them in the video.

        Raises:
            ValueError: An index is not in [0, ``num_frames``).
            BrokenVideoError: A frame cannot be decoded.
        """
        indices = [int(index) for index in indices]
        wanted = sorted(set(indices))
        if wanted and not 0 <= wanted[0] <= wanted[-1] < self.num_frames:
            raise ValueError(
                f'indices={indices} of {self.filename} must lie in [0, {self.num_frames}): '
                'check the sampler and that start_index is 0'
            )
        return self.sample(lambda num_frames, _: self._check_count(num_frames, indices))

    def sample(self, choose: Choice) -> list[np.ndarray]:
        """:meth:`read` the frames that ``choose(num_frames, avg_fps)`` names.

        ``choose`` is asked again where this reader fails and another one counts the frames.
        """
        indices = [int(index) for index in choose(self.num_frames, self.avg_fps)]
        try:
            return self._read(indices)
        except BrokenVideoError as error:
            if self.fall_back is None:
                raise
            with self.fall_back(error) as other:
                return other.sample(choose)

    def _check_count(self, num_frames: int, indices: list[int]) -> list[int]:
        if num_frames != self.num_frames:
            raise self.broken(
                f'holds {self.num_frames} frames or {num_frames}: two readers do not agree'
            )
        return indices

    def _read(self, indices: list[int]) -> list[np.ndarray]:
        wanted = sorted(set(indices))
        try:
            frames = dict(
                zip(wanted, to_one_size(self.filename, self._decode(wanted)), strict=True)
            )
        except BrokenVideoError:
            raise
        except Exception as error:  # whatever a decoder raises
            raise self.broken(f'cannot be decoded ({brief(error)})') from error
        result, taken = [], set()
        for index in indices:
            result.append(frames[index].copy() if index in taken else frames[index])
            taken.add(index)
        return result

    def broken(self, reason: str) -> BrokenVideoError:
        """The error to raise about this file."""
        return BrokenVideoError(self.filename, reason)

    def close(self) -> None:  # noqa: B027  (most readers close when they are deleted)
        """Let go of the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


_said: set[str] = set()


def say_once(kind: str, filename: str | os.PathLike[str], what: str) -> None:
    """Warn of a file, the first time in a process that this is said of one.

    Args:
        kind: The reason, said once only; numbers in it do not count.
        filename: The file.
        what: How the sentence goes on behind its name.
    """
    key = re.sub(r'\d+', '#', kind)
    if key not in _said:
        _said.add(key)
        text = f'{os.fspath(filename)} {what}; said once for this reason'
        print_log(text, logger='current', level=logging.WARNING)


def to_one_size(filename: str, frames: list[np.ndarray]) -> list[np.ndarray]:
    """Resize frames of a video whose size changes to that of the first one."""
    sizes = {frame.shape[:2] for frame in frames}
    if len(sizes) > 1:
        height, width = frames[0].shape[:2]
        say_once('size', filename, f'changes its size: its frames become {height} x {width}')
    return [
        x if x.shape == frames[0].shape else mmcv.imresize(x, frames[0].shape[1::-1])
        for x in frames
    ]


def name_source(source: VideoSource) -> str:
    """The name of a video for messages."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    name = getattr(source, 'name', None)
    return name if isinstance(name, str) else f'video in memory ({type(source).__name__})'


def _check_file(filename: str) -> int:
    """The size of a file in bytes; errors in plain words, which decoders call 'invalid data'."""
    if os.path.isdir(filename):
        raise BrokenVideoError(filename, 'is a directory, not a video file')
    try:
        return os.stat(filename).st_size
    except OSError as error:
        raise BrokenVideoError(filename, f'cannot be found or read ({error.strerror})') from error


def brief(error: BaseException) -> str:
    """Shorten a decoder's message to one line."""
    lines = (getattr(error, 'strerror', None) or str(error) or type(error).__name__).splitlines()
    return lines[0].strip()[:200]
