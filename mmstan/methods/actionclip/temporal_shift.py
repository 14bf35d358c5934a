"""An image tower whose blocks read some channels of the neighbouring frames."""

from __future__ import annotations

from typing import Any

import torch
from mmaction.models.backbones import resnet_tsm
from torch import Tensor

from mmstan.models.backbones.base import VideoBackbone, clip_to_images
from mmstan.registry import MODELS


@MODELS.register_module()
class TemporalShift(VideoBackbone):
    """In front of each block, some channels of the patches come from the next and previous frame.

    This is TSM, in a transformer as in ActionCLIP. Class tokens are not shifted. It has no
    parameters. Channels that would come from beyond the first or last frame are 0.

    Args:
        tower: Config of an image tower.
        shift_div: One channel in ``shift_div`` is shifted in each direction.

    Example:
        >>> import torch
        >>> from mmstan.methods.actionclip import TemporalShift
        >>> sizes = dict(image_size=32, layers=2, width=64, patch_size=8, head_width=32)
        >>> model = dict(embed_dim=16, vision_cfg=sizes)
        >>> backbone = TemporalShift(dict(type='mmstan.ImageTower', model=model))
        >>> backbone(torch.zeros(2, 3, 8, 32, 32)).shape
        torch.Size([2, 8, 16])
    """

    def __init__(self, tower: dict[str, Any], *, shift_div: int = 8) -> None:
        super().__init__(tower)
        if shift_div < 2:
            raise ValueError(f'shift_div={shift_div} must be 2 or more: two parts are shifted')
        self.shift_div = shift_div

    def forward(self, clip: Tensor) -> Tensor:
        """Clip (N, 3, T, H, W) -> frame features (N, T, D)."""
        x, last = self._run_to_last_block(clip), self.tower.blocks[-1]
        x = last(x) if self.tower.reads_patches else last.first_row(x)
        return self.tower.project(x).unflatten(0, (clip.shape[0], -1))

    def tokens(self, clip: Tensor) -> Tensor:
        """See :meth:`VideoBackbone.tokens`: the output of the tower's last block."""
        return self.tower.blocks[-1](self._run_to_last_block(clip)).unflatten(
            0, (clip.shape[0], -1)
        )

    def _run_to_last_block(self, clip: Tensor) -> Tensor:
        """Clip -> the last block's input (N*T, 1 + L, C)."""
        x = self.tower.embed(clip_to_images(clip))
        for block in self.tower.blocks[:-1]:
            x = block(self._shift(x, clip.shape[2]))
        return self._shift(x, clip.shape[2])

    def _shift(self, x: Tensor, t: int) -> Tensor:
        """Shift the patches of tokens (N*T, 1 + L, C) in time -> same shape."""
        # MMAction2's shift takes images of a ResNet: (N*T, C, h, w).
        patches = x[:, 1:].mT.unsqueeze(-1)  # (N*T, C, L, 1)
        patches = resnet_tsm.TemporalShift.shift(patches, t, self.shift_div)
        return torch.cat([x[:, :1], patches.squeeze(-1).mT], dim=1)
