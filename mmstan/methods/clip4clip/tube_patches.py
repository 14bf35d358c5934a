"""Patches that span three frames (CLIP4Clip's linear_patch 3d, arXiv 2104.08860)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmstan.models.backbones.base import VideoBackbone, clip_to_images
from mmstan.registry import MODELS


@MODELS.register_module()
class TubePatches(VideoBackbone):
    """An image tower whose patch embedding spans a frame and the frames next to it.

    A convolution over time, height and width takes the place of the tower's patch embedding. Its
    middle slice is the tower's embedding. The two other slices are new and start at zero, so at the
    start the backbone computes the same as the tower. Frames before the first and after the last
    one are zeros.

    Args:
        tower: Config of an image tower.

    Example:
        >>> import torch
        >>> from mmstan.methods.clip4clip import TubePatches
        >>> sizes = dict(image_size=32, layers=2, width=64, patch_size=8, head_width=32)
        >>> model = dict(embed_dim=16, vision_cfg=sizes)
        >>> backbone = TubePatches(dict(type='mmstan.ImageTower', model=model))
        >>> backbone(torch.zeros(2, 3, 8, 32, 32)).shape
        torch.Size([2, 8, 16])
    """

    def __init__(self, tower: dict[str, Any]) -> None:
        super().__init__(tower)
        size = self.tower.patch_size
        c = self.tower.width
        self.before = nn.Conv2d(3, c, size, stride=size, bias=False)
        self.after = nn.Conv2d(3, c, size, stride=size, bias=False)
        nn.init.zeros_(self.before.weight)
        nn.init.zeros_(self.after.weight)

    def forward(self, clip: Tensor) -> Tensor:
        """Clip (N, 3, T, H, W) -> frame features (N, T, D)."""
        x = self.tower.run_blocks(self.embed(clip))
        return self.tower.project(x).unflatten(0, (clip.shape[0], -1))

    def tokens(self, clip: Tensor) -> Tensor:
        """See :meth:`VideoBackbone.tokens`: the output of the last block."""
        x = self.tower.run_all_rows(self.embed(clip))
        return x.unflatten(0, (clip.shape[0], -1))

    def embed(self, clip: Tensor) -> Tensor:
        """Clip (N, 3, T, H, W) -> the first block's input (N*T, 1 + L, C)."""
        images, tower = clip_to_images(clip), self.tower
        # Convolution over three frames as the sum of three 2D ones, of frame t - 1, t and t + 1.
        frames = F.pad(clip, (0, 0, 0, 0, 1, 1)).transpose(1, 2)  # (N, T + 2, 3, H, W)
        before, after = frames[:, :-2].flatten(0, 1), frames[:, 2:].flatten(0, 1)
        update = (self.before(before) + self.after(after)).flatten(2)  # (N*T, C, L)
        patches = tower.patchify(images) + update.transpose(1, 2)
        cls = tower.class_embedding.to(patches.dtype).expand(patches.shape[0], 1, -1)
        positions = tower.positions(tower.grid(images)).to(patches.dtype)
        return tower.finish(torch.cat([cls, patches], dim=1) + positions)
