"""Opening a video with the best reader that works on this machine and is right for the file."""

from __future__ import annotations

import io
import os
import tempfile
from functools import lru_cache, partial
from typing import Literal

import av
import numpy as np
from mmengine.logging import print_log

from mmstan.datasets.readers.base import (
    BrokenVideoError,
    VideoReader,
    VideoSource,
    brief,
    say_once,
)
from mmstan.datasets.readers.optional import DecordReader, TorchCodecReader
from mmstan.datasets.readers.pyav import PyAVReader, find_stream

__all__ = ['READERS', 'Backend', 'BrokenVideoError', 'VideoReader', 'open_video', 'reader_problem']

Backend = Literal['auto', 'torchcodec', 'pyav', 'decord']
READERS: dict[str, type[VideoReader]] = {
    'torchcodec': TorchCodecReader,
    'pyav': PyAVReader,
    'decord': DecordReader,
}
TRUSTED = {'torchcodec': ('mov',), 'decord': ('mov',)}
"""Containers, by the demuxer's first name for them, that a reader is right about.

Tried with H.264, HEVC, MPEG-4, MPEG-2, VP8 and VP9, with and without B-frames, whole, cut, joined
and damaged (tests/datasets/readers, tests/campaign). They lose frames or mix them up in AVI,
MPEG-TS, MPEG-PS and ASF, and in damaged Matroska. PyAV is trusted with everything.
"""


def open_video(filename: VideoSource | bytes, backend: Backend = 'auto') -> VideoReader:
    """The reader of a file, for use in ``with``: ``video.read([0, 8, 16])`` gives three frames.

    PyAV reads open files and the bytes of a file.

    ``auto`` is torchcodec where it proves itself by use, else PyAV. Whatever is asked for, PyAV
    reads the containers that a reader is not :data:`TRUSTED` with and the files that it fails on;
    the log says so once a reason.

    Raises:
        BrokenVideoError: The file is missing, or PyAV cannot read it either.
    """
    if isinstance(filename, bytes):
        return PyAVReader(io.BytesIO(filename))
    if not isinstance(filename, (str, os.PathLike)):
        return PyAVReader(filename)
    name = choose_backend(backend)
    if name != 'pyav':
        container = find_container(filename)
        if container not in TRUSTED.get(name, ()):
            if backend != 'auto' and container:
                reason = f'{name} is not trusted with {container} files'
                say_once(reason, filename, f'is read with PyAV ({reason})')
            name = 'pyav'
    if name == 'pyav':
        return READERS['pyav'](filename)
    try:
        reader = READERS[name](filename)
    except BrokenVideoError as error:
        return _fall_back(filename, name, error)
    if isinstance(reader, VideoReader):
        reader.fall_back = partial(_fall_back, filename, name)
    return reader


def find_container(filename: str | os.PathLike[str]) -> str:
    """The demuxer's first name for a file's container, whatever its suffix; '' if there is none.

    The bytes that MP4 and Matroska begin with are known here; the demuxer is asked about others.
    """
    try:
        with open(filename, 'rb') as file:
            start = file.read(8)
        if start[4:] == b'ftyp':
            return 'mov'
        if start[:4] == b'\x1a\x45\xdf\xa3':
            return 'matroska'
        with av.open(os.fspath(filename), metadata_errors='replace') as container:
            return container.format.name.partition(',')[0]
    except Exception:  # whatever a demuxer raises; opening the file will say what is wrong
        return ''


def find_duration(filename: str | os.PathLike[str]) -> float | None:
    """The seconds of a file as its header states them; None if it cannot be opened or has none.

    No frame is read, so it is quick; a cut-off file may state more than it shows.
    """
    try:
        with av.open(os.fspath(filename), metadata_errors='replace') as container:
            stream = find_stream(container, os.fspath(filename))
            if stream.duration and stream.time_base:
                return float(stream.duration * stream.time_base)
            return container.duration / av.time_base if container.duration else None
    except Exception:  # whatever a demuxer raises; reading the file will say what is wrong
        return None


def _fall_back(filename: str | os.PathLike[str], name: str, error: BrokenVideoError) -> VideoReader:
    """Open with PyAV what the reader ``name`` failed on; its error is PyAV's."""
    reader = READERS['pyav'](filename)
    reason = f'{name} failed: {error.reason}'
    say_once(reason, filename, f'is read with PyAV ({reason})')
    return reader


@lru_cache
def choose_backend(backend: Backend = 'auto') -> str:
    """The name of the reader that ``backend`` stands for; ValueError where it does not work.

    The first call of a process decodes a small clip to find out; later ones are free.
    """
    if backend == 'auto':
        problem = reader_problem('torchcodec')
        if problem is None:
            return 'torchcodec'
        print_log(f'videos are read with PyAV; torchcodec is not used: {problem}', 'current')
        return 'pyav'
    if backend not in READERS:
        raise ValueError(f"backend={backend!r} must be 'auto' or one of {sorted(READERS)}")
    problem = reader_problem(backend)
    if problem is not None:
        raise ValueError(f"backend={backend!r} does not work here ({problem}): use 'auto'")
    return backend


@lru_cache
def reader_problem(name: str) -> str | None:
    """Why the reader of this name does not work here, found by decoding a small clip, or None."""
    clip = np.zeros((4, 32, 64, 3), np.uint8)
    clip[:, :, :32] = np.array([40, 90, 140, 190], np.uint8)[:, None, None, None]
    try:
        with tempfile.TemporaryDirectory() as folder:
            filename = os.path.join(folder, 'self_test.mp4')
            _write_clip(filename, clip)
            frames = READERS[name](filename).read([3, 0])
    except BrokenVideoError as error:
        return brief(error.__cause__ or error)
    except OSError as error:  # a machine without a folder to write to
        return f'no clip can be written to try it ({brief(error)})'
    worst = np.abs(np.stack(frames).astype(int) - clip[[3, 0]]).max()
    return None if worst < 8 else f'it decodes a known clip wrongly (by {worst} of 255)'


def _write_clip(filename: str, frames: np.ndarray) -> None:
    """MPEG-4 part 2, because FFmpeg itself encodes it; FFmpeg builds without x264 exist."""
    with av.open(filename, 'w') as container:
        stream = container.add_stream('mpeg4', rate=8, options={'qscale': '1'})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.bit_rate = 'yuv420p', 1_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, 'rgb24')))
        container.mux(stream.encode())
