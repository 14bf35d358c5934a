"""Opening a video with the best reader that works on this machine."""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from typing import Literal

import av
import numpy as np
from mmengine.logging import print_log

from mmstan.datasets.readers.base import BrokenVideoError, VideoReader, brief
from mmstan.datasets.readers.optional import DecordReader, TorchCodecReader
from mmstan.datasets.readers.pyav import PyAVReader

__all__ = ['READERS', 'Backend', 'BrokenVideoError', 'VideoReader', 'open_video', 'reader_problem']

Backend = Literal['auto', 'torchcodec', 'pyav', 'decord']
READERS: dict[str, type[VideoReader]] = {
    'torchcodec': TorchCodecReader,
    'pyav': PyAVReader,
    'decord': DecordReader,
}


# torchcodec loses frames of containers without exact time stamps (AVI, MPEG-TS, FLV).
_TORCHCODEC_SUFFIXES = ('.mp4', '.m4v', '.mov', '.mkv', '.webm')


def open_video(filename: str | os.PathLike[str], backend: Backend = 'auto') -> VideoReader:
    """The reader of a file, for use in ``with``: ``video.read([0, 8, 16])`` gives three frames.

    ``auto`` is torchcodec where it proves itself by use, else PyAV. Raises BrokenVideoError.
    """
    name = choose_backend(backend)
    if backend == 'auto' and not os.fspath(filename).lower().endswith(_TORCHCODEC_SUFFIXES):
        name = 'pyav'
    return READERS[name](filename)


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
    with tempfile.TemporaryDirectory() as folder:
        filename = os.path.join(folder, 'self_test.mp4')
        _write_clip(filename, clip)
        try:
            frames = READERS[name](filename).read([3, 0])
        except BrokenVideoError as error:
            return brief(error.__cause__ or error)
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
