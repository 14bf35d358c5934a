"""Joint space-time attention."""

from __future__ import annotations

from torch import Tensor

from mmstan.methods.timesformer.base import SpaceTimeBackbone
from mmstan.registry import MODELS


@MODELS.register_module()
class JointSpaceTime(SpaceTimeBackbone):
    """The tower's own blocks on the tokens of all frames at once (CLIP-Joint).

    Only the time table is new. With one frame and a time table of zeros, the backbone computes the
    same as the tower.

    See :class:`SpaceTimeBackbone` for the arguments.

    Example:
        >>> import torch
        >>> from mmstan.methods.timesformer import JointSpaceTime
        >>> sizes = dict(image_size=32, layers=2, width=64, patch_size=8, head_width=32)
        >>> model = dict(embed_dim=16, vision_cfg=sizes)
        >>> backbone = JointSpaceTime(dict(type='mmstan.ImageTower', model=model), num_frames=8)
        >>> backbone(torch.zeros(2, 3, 8, 32, 32)).shape
        torch.Size([2, 1, 16])
    """

    def _run_block(
        self, k: int, x: Tensor, t: int, grid: tuple[int, int], only_cls: bool
    ) -> Tensor:
        block, drop = self.tower.blocks[k], self.drop_paths[k]
        rows = 1 if only_cls else x.shape[1]
        x = x[:, :rows] + drop(block.attend(x, rows))
        return x + drop(block.feed_forward(x))
