"""From seconds to frames, also where a video's frame rate varies."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike


def find_frames(
    seconds: ArrayLike, num_frames: int, avg_fps: float, times: np.ndarray | None = None
) -> np.ndarray:
    """Find where seconds lie among the frames: 7.25 is a quarter of the way from frame 7 to 8.

    Args:
        seconds: Any shape.
        num_frames: The video's number of frames.
        avg_fps: Frames a second, on average.
        times: Seconds at which the frames are shown, (num_frames,), as of
            :attr:`~mmstan.datasets.readers.VideoReader.uneven_times`. Without them, or with those
            of another number of frames, all distances are equal.

    Returns:
        float64, in the shape of ``seconds``; below 0 and above ``num_frames`` outside the video.

    >>> find_frames([1.0, 2.5], 5, 2.0).tolist()
    [2.0, 5.0]
    >>> find_frames([1.0, 2.5], 5, 2.0, np.array([0, 0.25, 0.5, 1.5, 2.0])).tolist()
    [2.5, 5.0]
    """
    seconds = np.asarray(seconds, np.float64)
    if times is None or len(times) != num_frames:
        return seconds * avg_fps
    end = find_end(num_frames, avg_fps, times)
    outside = np.minimum(seconds, 0) + np.maximum(seconds - end, 0)
    places = np.interp(seconds, np.append(times, end), np.arange(num_frames + 1))
    return np.asarray(places + outside * avg_fps)


def find_end(num_frames: int, avg_fps: float, times: np.ndarray | None = None) -> float:
    """Find the second at which a video ends; arguments as of :func:`find_frames`."""
    end = num_frames / avg_fps
    if times is None or len(times) != num_frames:
        return end
    # The last frame lasts as long as the one before or the average one, whichever is shorter.
    return max(end, float(times[-1]) + min([1 / avg_fps, *np.diff(times[-2:]).tolist()]))


def are_even(times: np.ndarray, avg_fps: float) -> bool:
    """Whether each frame k is shown at ``k / avg_fps``, up to half a frame."""
    return bool((np.abs(times * avg_fps - np.arange(len(times))) <= 0.5).all())


def to_rate(fps: float) -> Fraction:
    """A frame rate as encoders take it, at least one in 1001 seconds.

    >>> to_rate(29.97003), to_rate(0.0001)
    (Fraction(30000, 1001), Fraction(1, 1001))
    """
    return max(Fraction(fps).limit_denominator(1001), Fraction(1, 1001))
