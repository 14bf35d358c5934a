"""Divided space-time attention."""

from __future__ import annotations

import re
from typing import Any, cast

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from mmstan.methods.timesformer.base import SpaceTimeBackbone
from mmstan.models.cross_frame import TemporalAttention
from mmstan.models.towers.block import Block
from mmstan.registry import MODELS

# Names of norm and attention in the towers' blocks -> in `TemporalAttention`, which copies them.
_NAMES = {
    r'ln_?1\.': 'norm.',
    r'attn\.in_proj_': 'attn.in_proj_',
    r'attn\.qkv\.': 'attn.in_proj_',
    r'attn\.(out_)?proj\.': 'attn.out_proj.',
}


@MODELS.register_module()
class DividedSpaceTime(SpaceTimeBackbone):
    """Attention over time, then over space, in every block (TimeSformer's divided attention).

    Over time, a patch attends to the patches at its own location in all T frames; the class token
    takes no part. Over space, each frame attends within itself and to a copy of the class token;
    the T updates of the copies are averaged. Temporal attention starts as a copy of the block's
    spatial attention. The linear layer behind it is zero in all blocks but the first, so at the
    start only the first block mixes patches across frames.

    See :class:`SpaceTimeBackbone` for the arguments.

    Example:
        >>> import torch
        >>> from mmstan.methods.timesformer import DividedSpaceTime
        >>> sizes = dict(image_size=32, layers=2, width=64, patch_size=8, head_width=32)
        >>> model = dict(embed_dim=16, vision_cfg=sizes)
        >>> backbone = DividedSpaceTime(dict(type='mmstan.ImageTower', model=model), num_frames=8)
        >>> backbone(torch.zeros(2, 3, 8, 32, 32)).shape
        torch.Size([2, 1, 16])
    """

    def __init__(self, tower: dict[str, Any], *, num_frames: int, drop_path: float = 0.0) -> None:
        super().__init__(tower, num_frames=num_frames, drop_path=drop_path)
        width, heads = self.tower.width, self.tower.heads
        self.temporal = nn.ModuleList(
            TemporalAttention(width, heads=heads, drop_path=cast(DropPath, drop).drop_prob)
            for drop in self.drop_paths
        )
        # A copied norm computes the same only with the tower's own eps.
        for module, block in zip(self.temporal, self.tower.blocks):
            eps = next(m.eps for m in block.modules() if isinstance(m, nn.LayerNorm))
            cast(TemporalAttention, module).norm.eps = eps
        first = cast(TemporalAttention, self.temporal[0])
        nn.init.trunc_normal_(first.temporal_fc.weight, std=0.02)

    def init_weights(self) -> None:
        """Load the tower's weights, then copy its attention into the attention over time."""
        super().init_weights()
        for module, block in zip(self.temporal, self.tower.blocks):
            _copy_attention(block, cast(TemporalAttention, module))

    def time_layers(self) -> dict[str, nn.Module]:
        """See :meth:`VideoBackbone.time_layers`: ``'time.1'`` and so on."""
        return {f'time.{k}': module for k, module in enumerate(self.temporal, start=1)}

    def _run_block(
        self, k: int, x: Tensor, t: int, grid: tuple[int, int], only_cls: bool
    ) -> Tensor:
        block, drop = self.tower.blocks[k], self.drop_paths[k]
        cls, patches = x[:, :1], x[:, 1:].unflatten(1, (t, -1))  # (N, 1, C), (N, T, L, C)
        # Over time: the patches at one location, without the class token.
        patches = patches + self.temporal[k](patches, grid)
        # Over space: every frame with its own copy of the class token, (N, T, 1 + L, C).
        frames = torch.cat([cls[:, None].expand(-1, t, -1, -1), patches], dim=2)
        rows = 1 if only_cls else frames.shape[2]
        update = drop(block.attend(frames.flatten(0, 1), rows)).unflatten(0, (-1, t))
        # The clip has one class token again: the mean of its T updates.
        x = cls + update[:, :, 0].mean(dim=1, keepdim=True)
        if not only_cls:
            x = torch.cat([x, (patches + update[:, :, 1:]).flatten(1, 2)], dim=1)
        return x + drop(block.feed_forward(x))


def _copy_attention(block: Block, module: TemporalAttention) -> None:
    """Copy the norm and the attention of a tower's block into ``module``."""
    state = {}
    for name, tensor in block.state_dict().items():
        for theirs, ours in _NAMES.items():
            if re.match(theirs, name):
                state[re.sub(theirs, ours, name)] = tensor
    kept = {k: v for k, v in module.state_dict().items() if k.startswith('temporal_fc.')}
    module.load_state_dict({**kept, **state})
