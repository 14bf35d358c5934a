"""Activation, number of heads and MLP, which DiST's encoders share."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mmstan.models.layers.attention import apply_quick_gelu_mlp


def quick_gelu(x: Tensor) -> Tensor:
    """``x sigmoid(1.702 x)``, for whose backward pass one tensor is kept instead of two."""
    return F.silu(1.702 * x) / 1.702


def count_heads(width: int) -> int:
    """Number of attention heads of 64 channels each; 1 for a smaller width.

    Raises:
        ValueError: The number does not divide ``width``.
    """
    heads = max(1, width // 64)
    if width % heads:
        raise ValueError(f'width {width} does not divide into {heads} heads; e.g. {64 * heads}')
    return heads


class MLP(nn.Module):
    """Two linear layers, QuickGELU between them: D -> ``hidden`` -> D.

    Args:
        width: D.
        hidden: Channels between the layers.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return apply_quick_gelu_mlp(x, self.up, self.down)
