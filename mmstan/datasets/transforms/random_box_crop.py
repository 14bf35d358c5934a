"""A random crop that leaves no strips of boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmaction.datasets.transforms import RandomCrop

from mmstan.registry import TRANSFORMS

LEAST_SHARE = 0.2
"""Share of a box's area that a crop must leave of it."""


@TRANSFORMS.register_module()
class RandomBoxCrop(RandomCrop):
    """MMAction2's random crop; a box of which less than a fifth is left becomes empty.

    MMAction2's crop clips every box, so that a person at the border is trained on by a strip of
    background. An empty box keeps its labels, and :class:`~mmstan.models.detection.ActionRoIHead`
    leaves it out and counts it.

    Args:
        size: Pixels of the crop's side.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)

    def _all_box_crop(self, results: dict[str, Any], crop_bbox: np.ndarray) -> dict[str, Any]:
        before = _measure_areas(results['gt_bboxes'])
        results = super()._all_box_crop(results, crop_bbox)
        boxes = results['gt_bboxes']
        strips = _measure_areas(boxes) < LEAST_SHARE * before
        boxes[strips, 2:] = boxes[strips, :2]
        return results


def _measure_areas(boxes: np.ndarray) -> np.ndarray:
    return np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
