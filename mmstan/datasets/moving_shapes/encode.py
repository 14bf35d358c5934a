"""Video files of rendered clips: H.264, every frame a key frame."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Protocol

import av
import numpy as np
from av.video.reformatter import VideoReformatter

FPS = 8
QP = 14  # constant: no frame's quality depends on its neighbours, or playing backwards would show
_CLIPS_PER_WORKER = 100  # for fewer, starting another process does not pay


class RenderedClip(Protocol):
    """A clip that knows its file and its frames."""

    @property
    def filename(self) -> str:
        """Path of the video below its task's folder."""

    def render_frames(self) -> np.ndarray:
        """Render the clip, (T, H, W, 3) uint8 RGB."""


def encode_all(folder: Path, clips: Sequence[RenderedClip], workers: int) -> Iterator[None]:
    """Write the files of ``clips`` below ``folder``; gives None after each of them."""
    encode = partial(encode_clip, folder)
    # Another process pays only for enough clips; the order in which clips are done does not matter.
    workers = min(workers, len(clips) // _CLIPS_PER_WORKER)
    if workers <= 1:
        yield from map(encode, clips)
        return
    with multiprocessing.Pool(workers, _end_with_parent) as pool:
        yield from pool.imap_unordered(encode, clips, chunksize=16)


def _end_with_parent() -> None:
    """End a worker with the process that started it, also when that process is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def encode_clip(folder: Path, clip: RenderedClip) -> None:
    """Write one MP4; a file that has its name is whole."""
    path = folder / clip.filename
    frames = clip.render_frames()
    # The process id keeps apart this file and the one that a killed call's worker still writes.
    unfinished = path.with_suffix(f'.{os.getpid()}.part')
    # bitexact: nothing of the muxer's version; threads: their number would change the bytes
    with av.open(str(unfinished), 'w', format='mp4', options={'fflags': '+bitexact'}) as container:
        options = {'preset': 'veryfast', 'qp': str(QP), 'g': '1', 'threads': '1'}
        stream = container.add_stream('libx264', rate=FPS, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = 'yuv420p'
        for array in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), 'rgb24')
            yuv = _to_yuv.reformat(frame, format='yuv420p', threads=1)
            container.mux(stream.encode(yuv))
        container.mux(stream.encode())
    os.replace(unfinished, path)


_to_yuv = VideoReformatter()  # making one takes longer than converting a frame
