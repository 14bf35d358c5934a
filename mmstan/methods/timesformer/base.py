"""All frames of a clip as one sequence of tokens with one class token (TimeSformer, 2102.05095).

Letters: N clips, T frames, L patches, C width of the tower, D joint space.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from timm.layers import DropPath
from torch import Tensor, nn

from mmstan.models.backbones.base import VideoBackbone, clip_to_images
from mmstan.models.layers.time_table import stretch_time_table, stretch_when_loaded


class SpaceTimeBackbone(VideoBackbone):
    """An image tower's blocks on the patches of all frames and one class token a clip.

    The patches of a frame share a time embedding, which starts at zero; the class token has none.

    Args:
        tower: Config of an image tower.
        num_frames: Length T of the time table. It is stretched for clips of other lengths: frame i
            of T' takes the embedding ``i * T // T'``. So is a checkpoint's table of another length.
        drop_path: Rate of the last block; the rates rise linearly from 0. The updates of whole
            clips are dropped.
    """

    def __init__(self, tower: dict[str, Any], *, num_frames: int, drop_path: float = 0.0) -> None:
        super().__init__(tower)
        if num_frames < 1:
            raise ValueError(f'num_frames={num_frames}: at least 1')
        rates = np.linspace(0, drop_path, len(self.tower.blocks))
        self.drop_paths = nn.ModuleList(DropPath(float(rate)) for rate in rates)
        self.time_embedding = nn.Parameter(torch.zeros(num_frames, self.tower.width))
        stretch_when_loaded(self, 'time_embedding', mode='nearest')

    def forward(self, clip: Tensor) -> Tensor:
        """Clip (N, 3, T, H, W) -> the clip in the joint space (N, 1, D)."""
        x = self._run(clip, only_cls=not self.tower.reads_patches)
        return self.tower.project(x)[:, None]

    def tokens(self, clip: Tensor) -> Tensor:
        """See :meth:`VideoBackbone.tokens`: each frame has the clip's class token."""
        x, t = self._run(clip, only_cls=False), clip.shape[2]
        patches = x[:, 1:].unflatten(1, (t, -1))
        return torch.cat([x[:, None, :1].expand(-1, t, -1, -1), patches], dim=2)

    def embed(self, clip: Tensor) -> Tensor:
        """Clip (N, 3, T, H, W) -> the first block's input (N, 1 + T*L, C), frame after frame."""
        images, tower = clip_to_images(clip), self.tower
        patches = tower.patchify(images).unflatten(0, (clip.shape[0], -1))  # (N, T, L, C)
        positions = tower.positions(tower.grid(images)).to(patches.dtype)
        times = self.times(clip.shape[2]).to(patches.dtype)
        # (N, T, L, C) + (L, C) + (T, 1, C): positions of the patches, and of the frames.
        patches = patches + positions[1:] + times[:, None]
        cls = (tower.class_embedding.to(patches.dtype) + positions[0]).expand(clip.shape[0], 1, -1)
        return tower.finish(torch.cat([cls, patches.flatten(1, 2)], dim=1))

    def times(self, t: int) -> Tensor:
        """Time embeddings of ``t`` frames, (T, C), by the nearest neighbours in the table."""
        return stretch_time_table(self.time_embedding, t, mode='nearest')

    def _run(self, clip: Tensor, *, only_cls: bool) -> Tensor:
        """Clip -> tokens of the last block (N, 1 + T*L, C), or its class token (N, 1, C)."""
        # The tower's blocks take one sequence of all frames; only the last one may skip rows.
        x, grid = self.embed(clip), self.tower.grid(clip)
        last = len(self.tower.blocks) - 1
        for k in range(last + 1):
            x = self._run_block(k, x, clip.shape[2], grid, only_cls and k == last)
        return x

    @abstractmethod
    def _run_block(
        self, k: int, x: Tensor, t: int, grid: tuple[int, int], only_cls: bool
    ) -> Tensor:
        """Tokens (N, 1 + T*L, C) -> same after block k, or its class token (N, 1, C)."""
