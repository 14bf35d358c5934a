"""CLIP4Clip's choice of frames: one a second, then evenly among these."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mmstan.registry import TRANSFORMS


def choose_seconds(
    total_frames: int, fps: float, num_frames: int, max_seconds: int | None = None
) -> np.ndarray:
    """Choose the first frame of each second; if these are more than T, T of them evenly.

    A second is int(fps) frames: 29.97 count as 29. ``max_seconds`` leaves later seconds out.
    Returns int64 (n,), n <= T, ascending and unique, in [0, total_frames).
    """
    seconds = np.arange(0, total_frames, max(int(fps), 1))[:max_seconds]
    if len(seconds) <= num_frames:
        return seconds
    return seconds[np.linspace(0, len(seconds) - 1, num_frames, dtype=np.int64)]


@TRANSFORMS.register_module()
class SampleSeconds(BaseTransform):
    """Choose at most ``num_frames`` frames, one a second, as CLIP4Clip does (``slice_framepos 2``).

    The choice is the same in training and in the test. Videos of fewer seconds repeat their last
    frame; ``frame_mask``, a boolean tensor (T,), is True for real frames, which come first.
    ``mmstan.SampleSegments`` chooses other frames, so a score must say which sampler it is from.

    Works inside ``ReadFrames`` and after stock ``DecordInit``. Reads total_frames, avg_fps,
    start_index; sets frame_inds (num_frames,), frame_mask, clip_len, frame_interval, num_clips. For
    the model, ``PackActionInputs`` needs ``algorithm_keys=('captions', 'frame_mask')``.

    Args:
        num_frames: T.
        max_seconds: Leaves out all later seconds. CLIP4Clip reads 32 of DiDeMo, the frames at 0, 1,
            ... 31 seconds.

    Example:
        >>> from mmstan.datasets.transforms import SampleSeconds
        >>> results = SampleSeconds(4)(dict(total_frames=75, avg_fps=29.97))
        >>> results['frame_inds'].tolist(), results['frame_mask'].tolist()
        ([0, 29, 58, 58], [True, True, True, False])
    """

    def __init__(self, num_frames: int, *, max_seconds: int | None = None) -> None:
        for name, value in (('num_frames', num_frames), ('max_seconds', max_seconds)):
            if value is not None and value < 1:
                raise ValueError(f'{name}={value} must be at least 1')
        self.num_frames = num_frames
        self.max_seconds = max_seconds

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the frame numbers and the mask; see the class."""
        real = choose_seconds(
            results['total_frames'], results['avg_fps'], self.num_frames, self.max_seconds
        )
        indices = np.pad(real, (0, self.num_frames - len(real)), mode='edge')
        results['frame_inds'] = indices + results.get('start_index', 0)
        results['frame_mask'] = torch.arange(self.num_frames) < len(real)
        results.update(clip_len=self.num_frames, frame_interval=None, num_clips=1)
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(num_frames={self.num_frames}, max_seconds={self.max_seconds})'
        )
