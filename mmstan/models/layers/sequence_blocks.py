"""Blocks of a text tower, over frames."""

from __future__ import annotations

from functools import partial

import torch
from open_clip.transformer import LayerNorm, QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn


class FrameBlocks(nn.ModuleList):
    """Transformer blocks of CLIP's text tower, in which every frame sees every real frame.

    LayerNorm's eps is 1e-12, as in CLIP4Clip and the codes built on it. Random weights are as in
    ActionCLIP: N(0, 0.02), biases 0.

    Args:
        width: D.
        heads: Attention heads.
        layers: Number of blocks.
        quick_gelu: Whether the MLPs use QuickGELU instead of GELU.
    """

    def __init__(self, width: int, *, heads: int, layers: int, quick_gelu: bool = True) -> None:
        activation = QuickGELU if quick_gelu else nn.GELU
        norm = partial(LayerNorm, eps=1e-12)
        block = partial(ResidualAttentionBlock, act_layer=activation, norm_layer=norm)
        super().__init__(block(width, heads) for _ in range(layers))
        self.heads = heads
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Frames (N, S, D), real where ``mask`` (N, S) is True -> same; padding is undefined."""
        n, s, _ = x.shape
        # Where all frames are padding, all are keys: some kernels give NaN for a row without keys.
        keys = mask | ~mask.any(dim=1, keepdim=True)
        # Added to the scores of every query: 0 for a real key, -inf for padding.
        bias = torch.zeros_like(keys, dtype=x.dtype).masked_fill_(~keys, -torch.inf)
        bias = bias[:, None, None].expand(n, self.heads, s, s).flatten(0, 1)  # (N * heads, S, S)
        for block in self:
            x = block(x, attn_mask=bias)
        return x
