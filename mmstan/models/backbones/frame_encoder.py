"""An image tower on every frame, with nothing between the frames."""

from __future__ import annotations

from torch import Tensor

from mmstan.models.backbones.base import VideoBackbone, clip_to_images
from mmstan.registry import MODELS


@MODELS.register_module()
class FrameEncoder(VideoBackbone):
    """An image tower on each frame; every video model here is compared with this baseline.

    Args:
        tower: Config of an image tower.

    Example:
        >>> import torch
        >>> from mmstan.models import FrameEncoder
        >>> sizes = dict(image_size=32, layers=2, width=64, patch_size=8, head_width=32)
        >>> model = dict(embed_dim=16, vision_cfg=sizes)
        >>> backbone = FrameEncoder(dict(type='mmstan.ImageTower', model=model))
        >>> backbone(torch.zeros(2, 3, 8, 32, 32)).shape
        torch.Size([2, 8, 16])
    """

    def forward(self, clip: Tensor) -> Tensor:
        """Clip (N, 3, T, H, W) -> frame features (N, T, D)."""
        return self.tower(clip_to_images(clip)).unflatten(0, (clip.shape[0], -1))

    def tokens(self, clip: Tensor) -> Tensor:
        """See :meth:`VideoBackbone.tokens`: the output of the tower's last block."""
        x = self.tower.run_all_rows(self.tower.embed(clip_to_images(clip)))
        return x.unflatten(0, (clip.shape[0], -1))
