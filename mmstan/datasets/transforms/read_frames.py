"""From a file name to the sampled frames, without decoding the others."""

from __future__ import annotations

import io
import os
from functools import partial
from typing import Any

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform

from mmstan.datasets.readers import (
    Backend,
    BrokenVideoError,
    VideoReader,
    choose_backend,
    open_video,
)
from mmstan.datasets.readers.base import to_one_size
from mmstan.registry import TRANSFORMS

_BLANK_SIZE = 224


@TRANSFORMS.register_module()
class ReadFrames(BaseTransform):
    """Open ``filename``, let ``sampler`` choose frames, and decode just these.

    Takes the place of DecordInit, a sampler and DecordDecode, and sets what they set: total_frames,
    avg_fps, the sampler's keys, imgs (list of RGB uint8 (H, W, 3)), original_shape, img_shape.
    Phone videos come upright. ``filename`` may be an open binary file, or a reader that stays open.
    ``results['blank']`` asks for black frames of an unread file.

    With ``video``, the bytes of a file, these are decoded and then removed from the results, and
    ``filename`` is their name for messages.

    In the place of ``filename`` stands ``array``, frames (T, H, W, 3), uint8 RGB, or ``frame_dir``
    with ``filename_tmpl``, images of a folder, both as MMAction2's inferencer gives them; or
    ``image_files``, the paths of the frames' images in their order. Their frame rate is
    ``results['avg_fps']``, 1 by default.

    A sampler also finds ``frame_times``, the seconds at which the frames are shown, where a file's
    frame rate varies.

    Args:
        sampler: config of ``mmstan.SampleSegments``, of ``mmstan.SampleSeconds`` or of one of
            MMAction2's samplers.
        backend: 'auto' is torchcodec where it works, else PyAV; or one of them or decord by name.

    Raises:
        BrokenVideoError: the file is missing, or a frame of it cannot be read.
        ValueError: there is neither of ``filename``, ``array`` and ``frame_dir``, or they are
            something else; or a sample has ``start_seconds``, and the sampler no ``reads_window``.

    Example:
        >>> from mmstan.datasets.transforms import ReadFrames
        >>> sampler = dict(type='mmstan.SampleSegments', num_frames=8)
        >>> ReadFrames(sampler)(dict(filename='missing.mp4', blank=True))['imgs'][0].shape
        (224, 224, 3)
    """

    def __init__(self, sampler: dict[str, Any], *, backend: Backend = 'auto') -> None:
        self.sampler = TRANSFORMS.build(sampler)
        self.backend = backend
        choose_backend(backend)  # here, so that forked workers know the answer

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the frames; see the class."""
        results.setdefault('modality', 'RGB')  # stock Flip asks for it
        data = results.pop('video', None)  # freed after decoding: a sample has no use for it
        if results.get('blank'):
            return self.blank_frames(results)
        if results.get('array') is not None:
            return _set_frames(results, self._read_array(results))
        if results.get('filename') is None and results.get('frame_dir') is not None:
            return _set_frames(results, self._read_folder(results))
        if results.get('image_files') is not None:
            return _set_frames(results, self._read_images(results))
        filename: Any = results.get('filename')
        if isinstance(filename, VideoReader):
            return self._read_video(results, filename)
        if data is not None:
            filename = io.BytesIO(data)
            filename.name = results['filename']
        if not isinstance(filename, (str, os.PathLike)) and not hasattr(filename, 'seek'):
            raise ValueError(
                f'ReadFrames reads a video file, filename={filename!r}: give results["filename"] '
                "a path or an open file, or results['array'] frames (T, H, W, 3), uint8 RGB"
            )
        with open_video(filename, self.backend) as video:
            return self._read_video(results, video)

    def blank_frames(self, results: dict[str, Any]) -> dict[str, Any]:
        """Black frames in the place of a video that cannot be read."""
        indices = self._sample(results, 1, 1.0)
        shape = (_BLANK_SIZE, _BLANK_SIZE, 3)
        return _set_frames(results, [np.zeros(shape, np.uint8) for _ in indices])

    def _read_video(self, results: dict[str, Any], video: VideoReader) -> dict[str, Any]:
        results['filename'] = video.filename  # an open file does not belong into a sample
        return _set_frames(results, video.sample(partial(self._sample_file, results, video)))

    def _read_array(self, results: dict[str, Any]) -> list[np.ndarray]:
        frames = np.asarray(results['array'])
        if frames.ndim != 4 or frames.shape[3] != 3 or not len(frames) or frames.dtype != np.uint8:
            raise ValueError(
                f"ReadFrames: results['array'] is {frames.shape} {frames.dtype}, expected frames "
                '(T, H, W, 3), uint8 RGB; transpose, convert or read them so'
            )
        indices = self._sample(results, len(frames), float(results.get('avg_fps') or 1.0))
        return [frames[index].copy() for index in indices]

    def _read_folder(self, results: dict[str, Any]) -> list[np.ndarray]:
        folder, count = results['frame_dir'], results['total_frames']
        template = results.get('filename_tmpl', 'img_{:05}.jpg')
        if count < 1:
            raise BrokenVideoError(folder, f"holds no frames '{template}'; set filename_tmpl")
        first = results.get('start_index', 1)
        indices = self._sample(results, count, float(results.get('avg_fps') or 1.0))
        return [_read_image(folder, template.format(first + index)) for index in indices]

    def _read_images(self, results: dict[str, Any]) -> list[np.ndarray]:
        files = results['image_files']
        indices = self._sample(results, len(files), float(results.get('avg_fps') or 1.0))
        frames = [_read_image(*os.path.split(files[index])) for index in indices]
        return to_one_size(os.path.dirname(files[0]), frames)

    def _sample_file(
        self, results: dict[str, Any], video: VideoReader, num_frames: int, avg_fps: float
    ) -> np.ndarray:
        """Let the sampler see when the frames are shown, where their rate varies."""
        times = video.uneven_times
        if times is not None and len(times) == num_frames:
            results['frame_times'] = times
        indices = self._sample(results, num_frames, avg_fps)
        results.pop('frame_times', None)  # a sample has no use for it
        return indices

    def _sample(self, results: dict[str, Any], num_frames: int, avg_fps: float) -> np.ndarray:
        self._check_part(results)
        results.update(total_frames=num_frames, avg_fps=avg_fps, start_index=0)
        self.sampler(results)
        results['frame_inds'] = np.asarray(results['frame_inds']).reshape(-1)
        return results['frame_inds']

    def _check_part(self, results: dict[str, Any]) -> None:
        """Refuse a part of a video with a sampler that would take all of it."""
        if 'start_seconds' in results and not getattr(self.sampler, 'reads_window', False):
            raise ValueError(
                f'ReadFrames: the sample is a part of {results.get("filename", "a video")} '
                f'(start_seconds={results["start_seconds"]}), and {type(self.sampler).__name__} '
                "samples whole videos: give sampler=dict(type='mmstan.SampleWindow', sampler=...)"
            )

    def __repr__(self) -> str:
        return f'{type(self).__name__}(sampler={self.sampler}, backend={self.backend!r})'


def _read_image(folder: str, name: str) -> np.ndarray:
    try:
        image = mmcv.imread(os.path.join(folder, name), channel_order='rgb')
    except (OSError, cv2.error):  # cv2's of bytes that are no image
        image = None
    if image is None:
        raise BrokenVideoError(folder, f"frame '{name}' is missing or is no image")
    return image


def _set_frames(results: dict[str, Any], frames: list[np.ndarray]) -> dict[str, Any]:
    height, width = frames[0].shape[:2]
    results.update(imgs=frames, original_shape=(height, width), img_shape=(height, width))
    for boxes in ('gt_bboxes', 'proposals'):  # in [0, 1] until now, as after DecordDecode
        if results.get(boxes) is not None:
            scale = np.array([width, height, width, height], np.float32)
            results[boxes] = (results[boxes] * scale).astype(np.float32)
    return results
