"""Videos in whatever form they are given -> samples of a model's pipeline."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.fileio import get
from mmengine.registry import DefaultScope
from torch import Tensor

from mmstan.config.walk import find
from mmstan.datasets.image_folders import list_images
from mmstan.datasets.readers import BrokenVideoError
from mmstan.datasets.readers.base import name_source
from mmstan.wording import write_on_one_line

Video = str | os.PathLike[str] | bytes | BinaryIO | np.ndarray | Tensor
"""Path, address, folder of images, bytes of a file, open file, or uint8 RGB frames (T, H, W, 3)."""
Videos = Video | Iterable[Video]
OnError = Literal['raise', 'skip']


class Sample(NamedTuple):
    """A video as the pipeline gives it, or the reason why it cannot be read."""

    name: str
    packed: dict[str, Any] | None
    error: BrokenVideoError | None = None


def is_one(videos: Videos) -> bool:
    """Whether this is one video, and not several."""
    single = (str, os.PathLike, bytes, bytearray, np.ndarray, Tensor)
    return isinstance(videos, single) or hasattr(videos, 'read')


def list_videos(videos: Videos) -> Iterable[Video]:
    """Several videos, also of one.

    Raises:
        ValueError: It is neither a video nor several.
    """
    if is_one(videos):
        return [videos]  # type: ignore[list-item]
    if isinstance(videos, dict) or not isinstance(videos, Iterable):
        raise ValueError(
            f'{type(videos).__name__} is no video: give a path, an address, a folder of images, '
            'the bytes of a file, an open file, frames (T, H, W, 3) as uint8 RGB, or several'
        )
    return videos  # type: ignore[return-value]


def name_video(video: Video) -> str:
    """The name of a video for messages and tables."""
    if isinstance(video, (np.ndarray, Tensor)):
        return f'array {tuple(video.shape)}'
    return name_source(video)  # type: ignore[arg-type]


def prepare_video(video: Video) -> dict[str, Any]:
    """The keys with which ``ReadFrames`` reads a video.

    Raises:
        BrokenVideoError: An address cannot be fetched, or a folder holds no images.
        ValueError: It is no video.
    """
    common = dict(label=-1, start_index=0, modality='RGB')
    if isinstance(video, Tensor):
        return dict(common, array=video.detach().cpu().numpy())
    if isinstance(video, np.ndarray):
        return dict(common, array=video)
    if isinstance(video, (bytes, bytearray)):
        return dict(common, filename=io.BytesIO(video))
    if hasattr(video, 'read'):
        return dict(common, filename=_make_seekable(video))
    if not isinstance(video, (str, os.PathLike)):
        raise ValueError(f'{type(video).__name__} {video!r} is no video; see mmstan.load')
    path = os.fspath(video)
    if '://' in path:
        return dict(common, filename=_fetch(path))
    if os.path.isdir(path):
        return dict(common, image_files=list_images(path))
    return dict(common, filename=path)


def _make_seekable(file: Any) -> BinaryIO:
    if not hasattr(file, 'seekable') or file.seekable():
        return file
    return io.BytesIO(file.read())  # a pipe or a socket


def _fetch(address: str) -> BinaryIO:
    """Read the file at an address; http by MMEngine, other protocols by fsspec."""
    try:
        if address.startswith(('http://', 'https://')):
            content = io.BytesIO(get(address))
        else:
            import fsspec

            with fsspec.open(address, 'rb') as file:
                content = io.BytesIO(file.read())
    except Exception as error:  # each protocol has its own
        reason = write_on_one_line(f'{type(error).__name__}: {error}')
        raise BrokenVideoError(address, f'cannot be fetched ({reason})') from error
    content.name = address
    return content


class SampleReader:
    """Runs a pipeline on videos, in threads that are ahead of the model.

    Args:
        pipeline: Config of the pipeline.
        workers: Number of threads; 0 reads in the caller's.
        ahead: How many videos are read before they are asked for.
    """

    def __init__(self, pipeline: Sequence[dict[str, Any]], *, workers: int, ahead: int) -> None:
        with DefaultScope.overwrite_default_scope('mmaction'):
            self.pipeline = Compose([dict(step) for step in pipeline])
        self.workers, self.ahead = workers, ahead

    def read(self, videos: Videos, on_error: OnError) -> Iterator[Sample]:
        """A sample of each video, in their order.

        Raises:
            BrokenVideoError: A video cannot be read; with ``on_error='skip'`` its sample says so.
            ValueError: Something is no video.
        """
        given = iter(list_videos(videos))
        if not self.workers:
            for video in given:
                yield self._read_one(video, on_error)
            return
        with ThreadPoolExecutor(self.workers) as pool:
            waiting = deque(
                pool.submit(self._read_one, video, on_error) for video in islice(given, self.ahead)
            )
            try:
                while waiting:
                    yield waiting.popleft().result()
                    waiting += [
                        pool.submit(self._read_one, video, on_error) for video in islice(given, 1)
                    ]
            finally:
                for future in waiting:
                    future.cancel()

    def _read_one(self, video: Video, on_error: OnError) -> Sample:
        name = name_video(video)
        try:
            return Sample(name, self.pipeline(prepare_video(video)))
        except BrokenVideoError as error:
            if on_error == 'raise':
                raise
            return Sample(name, None, error)


def count_frames(reader: SampleReader) -> int:
    """How many frames of a video a pipeline reads for one view.

    Raises:
        ValueError: The sampler cannot take these from a piece that has no more.
    """
    inner = check_sampler(reader)
    return int(find(vars(inner), 'num_frames') or find(vars(inner), 'clip_len') or 8)


def check_sampler(reader: SampleReader) -> Any:
    """The sampler of a pipeline; raises ValueError if it leaves out frames between its own.

    A piece of a film has as many frames as the model sees: of these it would take one, T times.
    """
    sampler = reader.pipeline.transforms[0].sampler
    inner = getattr(sampler, 'sampler', sampler)
    interval = find(vars(inner), 'frame_interval') or 1
    if interval > 1:
        raise ValueError(
            f'{type(inner).__name__}(frame_interval={interval}) leaves out frames of a whole '
            'video, and a piece has no more than the model sees: take mmstan.SampleSegments in '
            'the pipelines of validation and test'
        )
    return inner


def batches(samples: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    """Samples in batches of ``size``; the last one may be smaller."""
    rest = iter(samples)
    while batch := list(islice(rest, size)):
        yield batch


def show_first_view(inputs: Tensor) -> Tensor:
    """A sample's first view as pictures, (T, H, W, 3).

    Args:
        inputs: Output of FormatShape: (views, 3, T, H, W) of NCTHW, or (T, 3, H, W) of NCHW.
    """
    return inputs.permute(0, 2, 3, 1) if inputs.ndim == 4 else inputs[0].permute(1, 2, 3, 0)


def to_frames(packed: dict[str, Any]) -> np.ndarray:
    """The real frames of a sample's first view, (T, H, W, 3), uint8 RGB."""
    frames = show_first_view(packed['inputs'])
    mask = packed['data_samples'].get('frame_mask')
    return (frames if mask is None else frames[torch.as_tensor(mask)]).numpy()
