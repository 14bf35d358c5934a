"""What every video backbone shares: a clip is cut into frames, frames become features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmstan.models.sizes import Sizes
from mmstan.models.towers import BaseImageTower
from mmstan.registry import MODELS


class VideoBackbone(BaseModule, ABC):
    """Clip (N, 3, T, H, W) -> features (N, T', D'), not normalised.

    Args:
        tower: Config of an image tower.
    """

    out_dim: int
    """Width D' of the features."""
    unused_by_map: tuple[str, ...] = (r'tower\.visual\.proj',)
    """Regular expressions of the full names of the parameters that get no gradient from a map of
    the patches: :meth:`tokens` without the class tokens, normalised by the tower's last norm."""

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

    def layer_groups(self) -> dict[str, list[nn.Module]]:
        """Layers by the name of their group, each group from its first to its last layer."""
        return {'tower': list(self.tower.blocks)}

    @classmethod
    def tower_frames(cls, cfg: Mapping[str, Any], frames: int) -> int:
        """How many of a clip's ``frames`` the tower sees, with the backbone's config ``cfg``."""
        return frames

    @classmethod
    def narrowed(cls, cfg: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        """The settings of the backbone's config ``cfg`` that change in its narrow form.

        The tower's own change apart; ``cfg['tower']`` is still as configured.
        """
        return dict(num_frames=sizes.frames) if sizes.frames and 'num_frames' in cfg else {}

    @classmethod
    def narrow_width(cls, cfg: Mapping[str, Any], sizes: Sizes) -> int:
        """Width D' of the features in the narrow form of ``cfg``."""
        tower: type[BaseImageTower] = MODELS.get(cfg['tower']['type'])
        return tower.narrow_joint_dim(sizes)


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
