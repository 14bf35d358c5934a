"""A part of a long video instead of all of it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from mmcv.transforms import BaseTransform

from mmstan.datasets.readers import BrokenVideoError, find_end, find_frames
from mmstan.registry import TRANSFORMS


def find_window(
    total_frames: int, fps: float, start: float, end: float, times: np.ndarray | None = None
) -> tuple[int, int]:
    """Find the first frame of the seconds [start, end), and the number of frames, at least 1.

    ``times`` are as of :func:`~mmstan.datasets.readers.find_frames`.

    >>> find_window(1000, 50.0, 0.14, 3.37)
    (7, 161)
    """
    begin, stop = map(round, find_frames([start, end], total_frames, fps, times).tolist())
    first = min(begin, total_frames - 1)
    return first, max(min(stop, total_frames) - first, 1)


@TRANSFORMS.register_module()
class SampleWindow(BaseTransform):
    """Let another sampler choose frames within ``start_seconds`` and ``end_seconds`` of a video.

    For data sets of segments of untrimmed videos, such as EPIC-Kitchens. Works where the other
    sampler works, inside ``ReadFrames`` and after stock ``DecordInit``. Reads total_frames,
    avg_fps, frame_times where the frame rate varies, and the two times (without them, the whole
    video); sets the keys of the other sampler.

    Args:
        sampler: Config of the other sampler, which sees the window as a whole video.

    Raises:
        BrokenVideoError: The video ends before the window begins.

    Example:
        >>> from mmstan.datasets.transforms import SampleWindow
        >>> segments = dict(type='mmstan.SampleSegments', num_frames=4, test_mode=True)
        >>> video = dict(total_frames=1000, avg_fps=50.0, start_seconds=2.0, end_seconds=4.0)
        >>> SampleWindow(segments)(video)['frame_inds'].tolist()
        [112, 137, 162, 187]
    """

    reads_window: ClassVar[bool] = True
    """That this sampler reads ``start_seconds``; ``ReadFrames`` refuses others for parts."""

    def __init__(self, sampler: dict[str, Any]) -> None:
        self.sampler = TRANSFORMS.build(sampler)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the frame numbers; see the class."""
        total, offset = results['total_frames'], results.get('start_index', 0)
        fps, times = results['avg_fps'], results.get('frame_times')
        seconds = find_end(total, fps, times)
        start, end = results.get('start_seconds', 0.0), results.get('end_seconds', seconds)
        if start >= seconds and not results.get('blank'):
            raise BrokenVideoError(
                results['filename'], f'ends at {seconds:.2f} s, before its segment from {start} s'
            )
        first, count = find_window(total, fps, start, end, times)
        results.update(total_frames=count, start_index=offset + first)
        results = self.sampler(results)
        results.update(total_frames=total, start_index=offset)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(sampler={self.sampler})'
