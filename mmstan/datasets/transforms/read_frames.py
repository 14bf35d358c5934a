"""From a file name to the sampled frames, without decoding the others."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmstan.datasets.readers import Backend, choose_backend, open_video
from mmstan.registry import TRANSFORMS

_BLANK_SIZE = 224


@TRANSFORMS.register_module()
class ReadFrames(BaseTransform):
    """Open ``filename``, let ``sampler`` choose frames, and decode just these.

    Takes the place of DecordInit, a sampler and DecordDecode, and sets what they set: total_frames,
    avg_fps, the sampler's keys, imgs (list of RGB uint8 (H, W, 3)), original_shape, img_shape.
    Phone videos come upright. ``results['blank']`` asks for black frames of an unread file.

    Args:
        sampler: config of ``mmstan.SampleSegments``, of ``mmstan.SampleSeconds`` or of one of
            MMAction2's samplers.
        backend: 'auto' is torchcodec where it works, else PyAV; or one of them or decord by name.

    Raises:
        BrokenVideoError: the file is missing, or a frame of it cannot be read.

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
        if results.get('blank'):
            return self.blank_frames(results)
        with open_video(results['filename'], self.backend) as video:
            return _set_frames(results, video.sample(partial(self._sample, results)))

    def blank_frames(self, results: dict[str, Any]) -> dict[str, Any]:
        """Black frames in the place of a video that cannot be read."""
        indices = self._sample(results, 1, 1.0)
        shape = (_BLANK_SIZE, _BLANK_SIZE, 3)
        return _set_frames(results, [np.zeros(shape, np.uint8) for _ in indices])

    def _sample(self, results: dict[str, Any], num_frames: int, avg_fps: float) -> np.ndarray:
        results.update(total_frames=num_frames, avg_fps=avg_fps, start_index=0)
        self.sampler(results)
        results['frame_inds'] = np.asarray(results['frame_inds']).reshape(-1)
        return results['frame_inds']

    def __repr__(self) -> str:
        return f'{type(self).__name__}(sampler={self.sampler}, backend={self.backend!r})'


def _set_frames(results: dict[str, Any], frames: list[np.ndarray]) -> dict[str, Any]:
    height, width = frames[0].shape[:2]
    results.update(imgs=frames, original_shape=(height, width), img_shape=(height, width))
    for boxes in ('gt_bboxes', 'proposals'):  # in [0, 1] until now, as after DecordDecode
        if results.get(boxes) is not None:
            scale = np.array([width, height, width, height], np.float32)
            results[boxes] = (results[boxes] * scale).astype(np.float32)
    return results
