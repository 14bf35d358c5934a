"""Frames from the segments of a video (TSN)."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmstan.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SampleSegments(BaseTransform):
    """Choose one frame in each of ``num_frames`` equal segments.

    In training the frame is random, for each clip separately. With ``test_mode`` it is the middle
    of the segment or, for several clips, the middle of each of its ``num_clips`` parts. Works
    inside ``ReadFrames`` and after stock ``DecordInit``. Reads total_frames, start_index; sets
    frame_inds (num_clips * num_frames), clip_len, frame_interval, num_clips.
    """

    def __init__(self, num_frames: int, *, num_clips: int = 1, test_mode: bool = False) -> None:
        for name, value in (('num_frames', num_frames), ('num_clips', num_clips)):
            if value < 1:
                raise ValueError(f'{name}={value} must be at least 1')
        self.num_frames = num_frames
        self.num_clips = num_clips
        self.test_mode = test_mode

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the frame numbers; see the class."""
        total = results['total_frames']
        if self.test_mode:
            indices = choose_middles(total, self.num_frames, self.num_clips)
        else:
            offsets = np.random.random_sample((self.num_clips, self.num_frames))
            indices = choose_in_segments(total, offsets)
        results['frame_inds'] = indices.reshape(-1) + results.get('start_index', 0)
        results.update(clip_len=self.num_frames, frame_interval=None, num_clips=self.num_clips)
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(num_frames={self.num_frames}, num_clips={self.num_clips}, '
            f'test_mode={self.test_mode})'
        )


def choose_in_segments(total_frames: int, offsets: np.ndarray) -> np.ndarray:
    """Choose one frame in each of T equal segments of a video.

    ``offsets`` (..., T) in [0, 1) are places within the segments. Videos with fewer than T frames
    repeat frames. Returns int64 (..., T) in [0, total_frames).

    >>> choose_in_segments(12, np.array([0.0, 0.5, 0.5]))
    array([ 0,  6, 10])
    """
    num_frames = offsets.shape[-1]
    indices = (np.arange(num_frames) + offsets) * (total_frames / num_frames)
    return np.minimum(indices.astype(np.int64), total_frames - 1)


def choose_middles(total_frames: int, num_frames: int, num_clips: int = 1) -> np.ndarray:
    """Choose the middle frame of each of T equal segments or, for clips, of each of their parts.

    In whole numbers, since fractions may end just below a frame that is exactly in the middle.
    Returns int64 (num_clips, T) in [0, total_frames).

    >>> choose_middles(12, 3, 2)
    array([[ 1,  5,  9],
           [ 3,  7, 11]])
    """
    # In halves of parts: part c of segment i has its middle at 2 * (i * num_clips + c) + 1.
    segments, parts = np.arange(num_frames), np.arange(num_clips)[:, None]
    middles = 2 * (segments * num_clips + parts) + 1
    return middles * total_frames // (2 * num_frames * num_clips)
