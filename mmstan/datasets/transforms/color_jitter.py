"""Colour jitter over whole clips."""

from __future__ import annotations

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
        clip = np.stack(results['imgs'])  # (T, H, W, 3)
        drawn = self.jitter.make_params([])
        steps = (
            (_change_brightness, drawn['brightness_factor']),
            (_change_contrast, drawn['contrast_factor']),
            (_change_saturation, drawn['saturation_factor']),
            (_turn_hue, drawn['hue_factor']),
        )
        for index in drawn['fn_idx']:
            change, strength = steps[index]
            if strength is not None:
                clip = change(clip, strength)
        results['imgs'] = list(clip)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.jitter.extra_repr()}, prob={self.prob})'


# Clips are (T, H, W, 3) uint8. OpenCV takes them as one picture of T * H rows. As in torchvision,
# each step cuts off what is behind the decimal point: the hue of a dark pixel hangs on one level.


def _change_brightness(clip: np.ndarray, factor: float) -> np.ndarray:
    table = np.clip(_LEVELS * factor, 0, 255).astype(np.uint8)
    return cv2.LUT(_to_picture(clip), table).reshape(clip.shape)


def _change_contrast(clip: np.ndarray, factor: float) -> np.ndarray:
    """A mixture of a frame and its mean grey."""
    greys = _find_grey(_to_picture(clip).astype(np.float32)).reshape(len(clip), -1)
    changed = np.empty_like(clip)
    for frame, out, mean in zip(clip, changed, greys.mean(axis=1)):
        table = np.clip(_LEVELS * factor + (1 - factor) * mean, 0, 255).astype(np.uint8)
        cv2.LUT(frame, table, dst=out)
    return changed


def _change_saturation(clip: np.ndarray, factor: float) -> np.ndarray:
    """A mixture of each pixel and its grey."""
    picture = _to_picture(clip).astype(np.float32)
    grey = torch.from_numpy(cv2.cvtColor(_find_grey(picture), cv2.COLOR_GRAY2RGB))
    mixture = torch.from_numpy(picture).mul_(factor).add_(grey, alpha=1 - factor).clamp_(0, 255)
    return mixture.to(torch.uint8).numpy().reshape(clip.shape)


def _turn_hue(clip: np.ndarray, turn: float) -> np.ndarray:
    """Turn the hue by a part of a circle; value and saturation stay."""
    # Hue and saturation are ratios, so the levels need not be divided by 255.
    picture = _to_picture(clip).astype(np.float32)
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
    angle: Any = (360 * (turn % 1), 0, 0, 0)  # a scalar of OpenCV, which its types do not know
    cv2.add(hsv, angle, dst=hsv)  # angles beyond a circle are taken
    cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, dst=picture)
    # 255.999 instead of 255, so that whole levels stay in spite of rounding.
    picture *= 255.999 / 255
    return picture.astype(np.uint8).reshape(clip.shape)


def _find_grey(picture: np.ndarray) -> np.ndarray:
    """Picture (H, W, 3) float32 -> whole levels of grey (H, W) float32."""
    grey = cv2.transform(picture, _GREY[None])
    return np.floor(grey, out=grey)


def _to_picture(clip: np.ndarray) -> np.ndarray:
    """Frames one below the other, (T * H, W, 3)."""
    return clip.reshape(-1, *clip.shape[2:])
