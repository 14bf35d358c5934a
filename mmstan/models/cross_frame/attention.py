"""Temporal self-attention, STAN's cross-frame module."""

from __future__ import annotations

from timm.layers import DropPath
from torch import Tensor, nn

from mmstan.models.cross_frame.base import CrossFrame
from mmstan.models.layers.attention import apply_linear, read_input_projection, self_attend
from mmstan.registry import MODELS


@MODELS.register_module()
class TemporalAttention(CrossFrame):
    """``temporal_fc(drop_path(attention over time(LN(patches))))`` (STAN Eq. 8, Mug-STAN Eq. 9).

    A patch attends to the patches at its own location in all T frames. ``temporal_fc`` starts at
    zero, so at the start no frame sees another one.

    Args:
        width: C, the tower's width.
        heads: Attention heads.
        drop_path: Probability with which the T tokens of a location are dropped in training.
    """

    def __init__(self, width: int, *, heads: int, drop_path: float = 0.0) -> None:
        super().__init__(width, heads=heads, drop_path=drop_path)
        self.norm = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.drop_path = DropPath(drop_path)
        self.temporal_fc = nn.Linear(width, width)
        nn.init.zeros_(self.temporal_fc.weight)
        nn.init.zeros_(self.temporal_fc.bias)

    def forward(self, patches: Tensor, grid: tuple[int, int]) -> Tensor:
        """See :meth:`CrossFrame.forward`."""
        n, t, locations, _ = patches.shape
        # (N, T, L, C) -> (N*L, T, C): a sequence is one location over time.
        # Autocast's norm is float32; what is copied need not be.
        x = self.norm(patches).to(patches.dtype).transpose(1, 2).reshape(n * locations, t, -1)
        x = self_attend(x, read_input_projection(self.attn), self.attn.num_heads)
        x = apply_linear(x, self.attn.out_proj)
        x = apply_linear(self.drop_path(x), self.temporal_fc)
        return x.unflatten(0, (n, locations)).transpose(1, 2)  # (N, T, L, C), a view
