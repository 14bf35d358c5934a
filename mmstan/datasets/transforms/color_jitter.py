"""Colour jitter over whole clips."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torchvision.transforms import v2

from mmstan.registry import TRANSFORMS

Range = float | tuple[float, float]


@TRANSFORMS.register_module()
class ColorJitter(BaseTransform):
    """torchvision's ColorJitter; strengths and order are drawn once a sample, for all its frames.

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
        clip = torch.from_numpy(np.stack(results['imgs'])).permute(0, 3, 1, 2)  # (T, 3, H, W)
        clip = self.jitter(clip).permute(0, 2, 3, 1).contiguous()
        results['imgs'] = list(clip.numpy())
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.jitter.extra_repr()}, prob={self.prob})'
