"""Colour jitter over whole clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torchvision.transforms import v2

from mmstan.registry import TRANSFORMS

Range = float | tuple[float, float]
_LEVELS = np.arange(256, dtype=np.float32)
_GREY = np.array([0.2989, 0.587, 0.114], np.float32)  # torchvision's weights of R, G, B


@TRANSFORMS.register_module()
class ColorJitter(BaseTransform):
    """torchvision's ColorJitter; strengths and order are drawn once a sample, for all its frames.

    Strengths and order are torchvision's own draws; OpenCV applies them, in a sixth of the time.
    One level in some thousands differs from torchvision's by 1, before other steps spread it.
    MMAction2's ColorJitter overflows on NumPy 2 in the hue, and draws the order once a process.

    ``imgs`` are (H, W, 3) uint8 RGB arrays of one size, before and after. A number ``x`` means the
    range [max(0, 1 - x), 1 + x], for ``hue`` [-x, x] with x <= 0.5. ``prob`` is the chance that a
    sample is changed at all.
    """

    def __init__(
        self,
        *,
        brightness: Range = 0.5,
        contrast: Range = 0.5,
        saturation: Range = 0.5,
        hue: Range = 0.1,
        prob: float = 1.0,
    ) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob={prob} must lie in [0, 1]')
        self.jitter = v2.ColorJitter(brightness, contrast, saturation, hue)
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change ``imgs``; see the class."""
        if torch.rand(()) >= self.prob:
            return results
        drawn = self.jitter.make_params([])
        steps = (
            (_change_brightness, drawn['brightness_factor']),
            (_change_contrast, drawn['contrast_factor']),
            (_change_saturation, drawn['saturation_factor']),
            (_turn_hue, drawn['hue_factor']),
        )
        chosen = [steps[i] for i in drawn['fn_idx'] if steps[i][1] is not None]
        results['imgs'] = [_change(frame, chosen) for frame in results['imgs']]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.jitter.extra_repr()}, prob={self.prob})'


# Frames are (H, W, 3) uint8, one after the other through all steps, so that they stay in the
# processor's cache. As in torchvision, each step cuts off what is behind the decimal point: the hue
# of a dark pixel hangs on one level.


def _change(
    frame: np.ndarray, steps: Sequence[tuple[Callable[..., np.ndarray], float]]
) -> np.ndarray:
    for change, strength in steps:
        frame = change(frame, strength)
    return frame


def _change_brightness(frame: np.ndarray, factor: float) -> np.ndarray:
    return cv2.LUT(frame, np.clip(_LEVELS * factor, 0, 255).astype(np.uint8))


def _change_contrast(frame: np.ndarray, factor: float) -> np.ndarray:
    """A mixture of a frame and its mean grey."""
    mean = _find_grey(frame.astype(np.float32)).mean()
    table = np.clip(_LEVELS * factor + (1 - factor) * mean, 0, 255).astype(np.uint8)
    return cv2.LUT(frame, table)


def _change_saturation(frame: np.ndarray, factor: float) -> np.ndarray:
    """A mixture of each pixel and its grey."""
    exact = frame.astype(np.float32)
    grey = torch.from_numpy(cv2.cvtColor(_find_grey(exact), cv2.COLOR_GRAY2RGB))
    mixture = torch.from_numpy(exact).mul_(factor).add_(grey, alpha=1 - factor).clamp_(0, 255)
    return mixture.numpy().astype(np.uint8)


def _turn_hue(frame: np.ndarray, turn: float) -> np.ndarray:
    """Turn the hue by a part of a circle; value and saturation stay."""
    # Hue and saturation are ratios, so the levels need not be divided by 255.
    exact = frame.astype(np.float32)
    hsv = cv2.cvtColor(exact, cv2.COLOR_RGB2HSV)
    angle: Any = (360 * (turn % 1), 0, 0, 0)  # a scalar of OpenCV, which its types do not know
    cv2.add(hsv, angle, dst=hsv)  # angles beyond a circle are taken
    cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, dst=exact)
    # 255.999 instead of 255, so that whole levels stay in spite of rounding.
    exact *= 255.999 / 255
    return exact.astype(np.uint8)


def _find_grey(exact: np.ndarray) -> np.ndarray:
    """Frame (H, W, 3) float32 -> whole levels of grey (H, W) float32."""
    grey = cv2.transform(exact, _GREY[None])
    return np.floor(grey, out=grey)
