"""The size of a whole frame that a tower can cut into patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmaction.datasets.transforms import Flip, RandomCrop, Resize, TenCrop, ThreeCrop
from mmcv.transforms import BaseTransform

from mmstan.registry import TRANSFORMS


def fit_to_grid(height: int, width: int, *, short: int, patch: int) -> tuple[int, int]:
    """Find the size with a short side of ``short``; the long side is a multiple of ``patch``.

    >>> fit_to_grid(270, 480, short=256, patch=16), fit_to_grid(480, 480, short=256, patch=16)
    ((256, 448), (256, 256))
    """
    # 480 * 256 / 270 = 455.1 is 28.4 patches: 28.
    long = max(short, patch * int(max(height, width) * short / min(height, width) / patch + 0.5))
    return (short, long) if height <= width else (long, short)


@TRANSFORMS.register_module()
class ResizeToGrid(BaseTransform):
    """Resize whole frames, and their boxes, to sides that are multiples of the patch.

    The short side becomes ``short``, the long side the nearest multiple of ``patch``. That changes
    the aspect by at most half a patch: of 454 x 256 pixels 448 x 256 remain, 1.3 %. Cutting pixels
    off would lose boxes at the border.

    Reads and sets img_shape, imgs, gt_bboxes, proposals, as MMAction2's ``Resize`` does.

    Args:
        short: Pixels of the short side, a multiple of ``patch``.
        patch: Pixels of a patch's side, 16 for B/16.
    """

    def __init__(self, short: int = 256, patch: int = 16) -> None:
        if patch < 1 or short < patch or short % patch:
            raise ValueError(f'short={short} must be a multiple of patch={patch}')
        self.short = short
        self.patch = patch

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Resize frames and boxes; see the class."""
        height, width = fit_to_grid(*results['img_shape'], short=self.short, patch=self.patch)
        return Resize((width, height), keep_ratio=False)(results)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(short={self.short}, patch={self.patch})'


def refuse_moved_boxes(transforms: Sequence[Any]) -> None:
    """Raise ValueError for test transforms after which a box is a fraction of another picture."""
    for transform in transforms:
        crops = isinstance(transform, (RandomCrop, ThreeCrop, TenCrop))
        if crops or (isinstance(transform, Flip) and transform.flip_ratio > 0):
            raise ValueError(
                f'the test pipeline has {type(transform).__name__}, but predicted boxes are '
                'fractions of the whole frame: use mmstan.ResizeToGrid, which keeps all of it'
            )
