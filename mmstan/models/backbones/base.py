"""What every video backbone shares: a clip is cut into frames, frames become features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor

from mmstan.models.towers import BaseImageTower
from mmstan.registry import MODELS


class VideoBackbone(BaseModule, ABC):
    """Clip (N, 3, T, H, W) -> features (N, T', D'), not normalised.

    Args:
        tower: Config of an image tower.
    """

    out_dim: int
    """Width D' of the features."""

    def __init__(self, tower: dict[str, Any]) -> None:
        super().__init__()
        self.tower: BaseImageTower = MODELS.build(tower)
        self.out_dim = self.tower.joint_dim

    @abstractmethod
    def forward(self, clip: Tensor) -> Tensor:
        """Clip (N, 3, T, H, W) -> features (N, T', D')."""

    @abstractmethod
    def tokens(self, clip: Tensor) -> Tensor:
        """Clip (N, 3, T, H, W) -> tokens (N, T, 1 + L, C), a frame's class token first."""


def clip_to_images(clip: Tensor) -> Tensor:
    """Clip (N, 3, T, H, W) -> images (N*T, 3, H, W), the frames of a clip side by side.

    Raises:
        ValueError: The clip is not five-dimensional, as with ``FormatShape('NCHW')``.
    """
    if clip.ndim != 5 or clip.shape[1] != 3:
        raise ValueError(
            f'FormatShape must be NCTHW: a clip is (N, 3, T, H, W), got {tuple(clip.shape)}; set '
            "input_format='NCTHW' in the pipelines and format_shape='NCTHW' in data_preprocessor"
        )
    return clip.transpose(1, 2).flatten(0, 1)
