"""A long video or a camera, piece by piece, in one pass and in bounded memory."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

import av
import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmstan.apis.inputs import Sample, SampleReader, count_frames
from mmstan.apis.scores import Scores, make_scores
from mmstan.datasets.readers import BrokenVideoError
from mmstan.datasets.readers.base import brief, name_source
from mmstan.datasets.readers.pyav import find_stream
from mmstan.datasets.readers.to_rgb import find_orientation, to_rgb
from mmstan.models.backbones import FrameEncoder

Stream = str | os.PathLike[str] | BinaryIO | Iterable[np.ndarray]
"""Path, address of a camera, open file, or an iterator of frames (H, W, 3), uint8 RGB."""


class Segment(NamedTuple):
    """A piece of a video."""

    start: float
    """Its beginning in seconds."""
    end: float
    """Its end in seconds."""
    scores: Scores | None
    """The classes, or the texts in the place of classes; None where neither was asked for."""
    feature: Tensor
    """Unit feature in the joint space, (D,)."""


class Piece(NamedTuple):
    """A piece of a video, and its sample."""

    start: float
    end: float
    keys: list[int]
    """Numbers of its frames in the whole stream."""
    sample: Sample


def cut_pieces(
    video: Stream, reader: SampleReader, *, seconds: float, stride: float, fps: float | None
) -> Iterator[Piece]:
    """Cut a stream into overlapping pieces, and run the pipeline on each.

    Args:
        video: The stream.
        reader: The model's reader.
        seconds: Length of a piece.
        stride: From the beginning of a piece to that of the next, in seconds.
        fps: Frames a second of an iterator.

    Raises:
        ValueError: A time is not above 0, ``fps`` is missing or given for a file, or the pipeline
            cannot sample a piece.
        BrokenVideoError: The video cannot be read.
    """
    for name, value in (('seconds', seconds), ('stride', stride)):
        if not 0 < value < float('inf'):
            raise ValueError(f'{name}={value} must be above 0')
    rate = count_frames(reader) / seconds  # frames a second that are kept
    timed: Iterator[tuple[float, np.ndarray]]
    if isinstance(video, (str, os.PathLike)) or hasattr(video, 'read'):
        if fps is not None:
            raise ValueError(f'fps={fps}: a file has its own; fps is that of an iterator of frames')
        timed, name = read_frames(video), name_source(video)  # type: ignore[arg-type]
    else:
        if fps is None or not 0 < fps < float('inf'):
            raise ValueError(f'fps={fps}: an iterator of frames needs its frames a second')
        timed, name = _time_frames(video, fps), 'stream of frames'
    return _cut(keep_at_rate(timed, rate), rate, reader, name, seconds, stride)


def _cut(
    kept: Iterator[Kept],
    rate: float,
    reader: SampleReader,
    name: str,
    seconds: float,
    stride: float,
) -> Iterator[Piece]:
    held: deque[Kept] = deque()
    number, covered, count = 0, -1, round(rate * seconds)
    for item in kept:
        if item.frame is not None:
            held.append(item)
        start = _drop_before(held, number * stride, rate)
        if item.frame is None:
            if held and held[-1].key > covered:  # the rest
                yield _make_piece(held, start, item.time, rate, reader, name)
            return
        while item.key == round(start * rate) + count - 1:  # again for starts that round to one key
            yield _make_piece(held, start, start + seconds, rate, reader, name)
            covered, number = item.key, number + 1
            start = _drop_before(held, number * stride, rate)


def _drop_before(held: deque[Kept], start: float, rate: float) -> float:
    """Drop the frames before a piece's start, which is returned."""
    while held and held[0].key < round(start * rate):
        held.popleft()
    return start


def _make_piece(
    held: Iterable[Kept],
    start: float,
    end: float,
    rate: float,
    reader: SampleReader,
    name: str,
) -> Piece:
    keys = [item.key for item in held]
    frames = [item.frame for item in held if item.frame is not None]
    if len({frame.shape for frame in frames}) > 1:
        raise BrokenVideoError(name, f'changes its size between {start:.1f} and {end:.1f} s')
    given: dict[str, Any] = dict(
        array=np.stack(frames), avg_fps=rate, label=-1, start_index=0, modality='RGB'
    )
    sample = Sample(name, reader.pipeline(given))
    rows = [keys[i] for i in given['frame_inds']] if 'frame_inds' in given else keys
    return Piece(start, end, rows, sample)


def read_frames(video: Any) -> Iterator[tuple[float, np.ndarray]]:
    """Decode a file or an address in one pass: (seconds, frame (H, W, 3), uint8 RGB).

    Packets that cannot be decoded are counted, and reported at the end.

    Raises:
        BrokenVideoError: It cannot be opened, is lost before its end, or holds no frame.
    """
    name, lost, shown = name_source(video), 0, 0
    try:
        source = os.fspath(video) if isinstance(video, os.PathLike) else video
        container = av.open(source, 'r', metadata_errors='replace')
    except (OSError, ValueError) as error:  # av.FFmpegError is an OSError or a ValueError
        raise BrokenVideoError(name, f'cannot be opened ({brief(error)})') from error
    with container:
        stream, orientation, first = find_stream(container, name), None, None
        for packet in _demux(container, stream, name):
            try:
                pictures = packet.decode()
            except av.FFmpegError:
                lost += 1
                continue
            for picture in pictures:
                orientation = orientation or find_orientation(picture)
                time = picture.time
                if time is None:
                    time = shown / float(stream.average_rate or 25)
                first = time if first is None else first
                shown += 1
                yield time - first, to_rgb(picture, orientation)
    if not shown:
        raise BrokenVideoError(name, 'holds no frame that can be decoded')
    if lost:
        print_log(f'{name}: {lost} packets cannot be decoded', 'current', logging.WARNING)


def _demux(container: Any, stream: Any, name: str) -> Iterator[Any]:
    try:
        yield from container.demux(stream)
    except av.FFmpegError as error:  # of a camera, the connection
        raise BrokenVideoError(name, f'cannot be read to its end ({brief(error)})') from error


def _time_frames(frames: Iterable[np.ndarray], fps: float) -> Iterator[tuple[float, np.ndarray]]:
    for number, frame in enumerate(frames):
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise ValueError(
                f'stream: frame {number} is {frame.shape} {frame.dtype}, expected (H, W, 3), '
                'uint8 RGB'
            )
        yield number / fps, frame


class Kept(NamedTuple):
    """A frame that is kept: the one on display in the middle of 1/``rate`` seconds."""

    key: int
    """Number of these seconds in the stream."""
    frame: np.ndarray | None
    """(H, W, 3); None behind the last one."""
    time: float
    """Up to when the stream is known, in seconds; at the end, its length."""


def keep_at_rate(frames: Iterable[tuple[float, np.ndarray]], rate: float) -> Iterator[Kept]:
    """Keep ``rate`` frames a second; an item without a frame ends them."""
    key, last, step = 0, None, 0.0
    for time, frame in frames:
        if last is not None:
            step = time - last[0]
            while (key + 0.5) / rate < time:
                yield Kept(key, last[1], time)
                key += 1
        last = time, frame
    if last is None:
        return
    end = last[0] + step  # the last frame is shown as long as the one before
    while (key + 0.5) / rate < end or key == 0:
        yield Kept(key, last[1], end)
        key += 1
    yield Kept(key, None, end)


class FrameSharing:
    """Lets a backbone that treats frames one by one see each frame of a stream once.

    Args:
        model: The model; its backbone is another one only within :meth:`use`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        single = type(model.backbone) is FrameEncoder
        self._shared = _SharedFrames(model.backbone) if single else None

    @contextmanager
    def use(self, keys: Sequence[int]) -> Iterator[None]:
        """Within, the model reads a clip of these frames, by their numbers in the stream."""
        if self._shared is None:
            yield
            return
        self._shared.expect(keys)
        own, self.model.backbone = self.model.backbone, self._shared
        try:
            yield
        finally:
            self.model.backbone = own


class _SharedFrames(nn.Module):
    """A FrameEncoder that keeps the features of the frames of the clip before."""

    def __init__(self, inner: FrameEncoder) -> None:
        super().__init__()
        self.inner = inner
        self.known: dict[int, Tensor] = {}
        self.keys: list[int] = []

    def expect(self, keys: Sequence[int]) -> None:
        """Say which frames come next."""
        self.keys = list(keys)
        self.known = {key: x for key, x in self.known.items() if key in self.keys}

    def forward(self, clip: Tensor) -> Tensor:
        """Clip (views, 3, T, H, W) -> frame features (views, T, D)."""
        if clip.shape[2] != len(self.keys):
            return self.inner(clip)
        new = [self.keys.index(key) for key in dict.fromkeys(self.keys) if key not in self.known]
        if new:
            features = self.inner(clip[:, :, new])  # (views, new, D)
            self.known.update((self.keys[i], x) for i, x in zip(new, features.unbind(dim=1)))
        return torch.stack([self.known[key] for key in self.keys], dim=1)

    def tokens(self, clip: Tensor) -> Tensor:
        """As the FrameEncoder's."""
        return self.inner.tokens(clip)


def make_segment(
    piece: Piece, scores: Tensor, feature: Tensor, names: Sequence[str] | None
) -> Segment:
    """A piece with its scores (K,) and feature (D,); all of the names, best first."""
    if not len(scores):
        return Segment(piece.start, piece.end, None, feature)
    found = make_scores(scores, None, names, len(scores))
    return Segment(piece.start, piece.end, found, feature)
