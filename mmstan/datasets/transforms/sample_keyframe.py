"""Frames around a key frame, for action detection."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmstan.datasets.readers import find_end, find_frames
from mmstan.registry import TRANSFORMS

SLACK = 1.0
"""Seconds, not included, by which a key frame may be after the end of its video."""


def choose_around(center: int, total_frames: int, span: float, offsets: np.ndarray) -> np.ndarray:
    """Choose T frames with equal distances, of which frame T // 2 is the center.

    Args:
        center: The key frame, in [0, total_frames).
        total_frames: The video's number of frames.
        span: T distances, in frames.
        offsets: How far to move each frame, in distances, (T,).

    Returns:
        int64 (T,), limited to [0, total_frames): at the video's ends a frame repeats.

    >>> choose_around(20, 100, span=12, offsets=np.zeros(4)).tolist()
    [14, 17, 20, 23]
    >>> choose_around(1, 100, span=12, offsets=np.zeros(4)).tolist()
    [0, 0, 1, 4]
    """
    places = center + _count_steps(offsets) * (span / len(offsets))
    return _round(places, total_frames)


def _count_steps(offsets: np.ndarray) -> np.ndarray:
    """Count the distances from the center to each frame."""
    return np.arange(len(offsets)) - len(offsets) // 2 + offsets


def _round(places: np.ndarray, total_frames: int) -> np.ndarray:
    return np.clip(np.floor(places + 0.5), 0, total_frames - 1).astype(np.int64)


@TRANSFORMS.register_module()
class SampleKeyframe(BaseTransform):
    """Choose ``num_frames`` frames of the ``seconds`` around a key frame.

    Frame k is at ``c + (k - T // 2) * span / T``, rounded, where c is the key frame and span the
    number of frames in ``seconds``, by the file's own frame rate. So the key frame is among them,
    at T // 2. In training each of the others moves by up to half a distance, at random; the key
    frame stays, since the boxes are its. Frames before the beginning or after the end are replaced
    by the first or the last frame.

    Where the frame rate varies, inside ``ReadFrames``, the distances are equal in seconds.

    Works inside ``ReadFrames`` and after stock ``DecordInit``. Reads total_frames, avg_fps,
    frame_times, timestamp, timestamp_start, start_index; sets frame_inds (num_frames,), clip_len,
    frame_interval, num_clips.

    Args:
        num_frames: T; for DiST, all gamma * T frames.
        seconds: Length of the span. 10 seconds at 30 frames a second are the Mug-STAN paper's 300
            frames; SlowFast's 32 x 2 frames are 64 / 30 seconds.
        test_mode: Move no frame.

    Raises:
        ValueError: The key frame is not in the video.

    Example:
        >>> from mmstan.datasets.transforms import SampleKeyframe
        >>> sampler = SampleKeyframe(8, seconds=4.0, test_mode=True)
        >>> key_frame = dict(timestamp=905, timestamp_start=900)
        >>> sampler(dict(key_frame, total_frames=100, avg_fps=10))['frame_inds'].tolist()
        [30, 35, 40, 45, 50, 55, 60, 65]
    """

    def __init__(
        self, num_frames: int = 8, *, seconds: float = 10.0, test_mode: bool = False
    ) -> None:
        if num_frames < 1:
            raise ValueError(f'num_frames={num_frames} must be at least 1')
        if seconds <= 0:
            raise ValueError(f'seconds={seconds} must be more than 0')
        self.num_frames = num_frames
        self.seconds = seconds
        self.test_mode = test_mode

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the frame numbers; see the class."""
        offsets = np.zeros(self.num_frames)
        if not self.test_mode:
            offsets = np.random.random_sample(self.num_frames) - 0.5
            offsets[self.num_frames // 2] = 0
        total, fps = results['total_frames'], results['avg_fps']
        center, times = find_key_frame(results), results.get('frame_times')
        if times is None or len(times) != total:
            indices = choose_around(center, total, self.seconds * fps, offsets)
        else:
            moments = times[center] + _count_steps(offsets) * (self.seconds / self.num_frames)
            indices = _round(find_frames(moments, total, fps, times), total)
        results['frame_inds'] = indices + results.get('start_index', 0)
        results.update(clip_len=self.num_frames, frame_interval=None, num_clips=1)
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(num_frames={self.num_frames}, seconds={self.seconds}, '
            f'test_mode={self.test_mode})'
        )


def find_key_frame(results: dict[str, Any]) -> int:
    """Find the number of the key frame, in [0, total_frames).

    A time up to a second after the end is the last frame, since files' lengths are rounded.

    Raises:
        ValueError: The time is before the video's beginning, or later than that.
    """
    total, fps = results['total_frames'], results['avg_fps']
    if results.get('blank'):  # a black frame stands for a file that cannot be read
        return 0
    start, times = results.get('timestamp_start', 0), results.get('frame_times')
    second, end = results['timestamp'] - start, find_end(total, fps, times)
    frame = round(float(find_frames(second, total, fps, times)))
    if frame < 0 or second >= end + SLACK:
        origin, end = results.get('origin'), start + end
        raise ValueError(
            f'{f"{origin}: " if origin else ""}second {results["timestamp"]:g} is not in '
            f'{results.get("filename", "the video")}, which shows seconds {start:g} to '
            f'{end:g}: timestamp_start={start:g} is the second at which the file begins (900 for '
            'the cut videos of AVA, 0 for whole videos); correct it or the line'
        )
    return min(frame, total - 1)
