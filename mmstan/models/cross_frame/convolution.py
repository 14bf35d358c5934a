"""Convolutions over time, the paper's and the released one."""

from __future__ import annotations

import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn

from mmstan.models.cross_frame.base import CrossFrame
from mmstan.registry import MODELS


@MODELS.register_module()
class TemporalConv(CrossFrame):
    """A bottleneck over time: C -> C/8, 3x1x1 over (T, H, W), GELU, C/8 -> C (STAN Eq. 9).

    The last layer starts at zero.

    Args:
        width: C, the tower's width, a multiple of 8.
        heads: Not read.
        drop_path: Probability with which a clip's update is dropped in training.
    """

    def __init__(self, width: int, *, heads: int, drop_path: float = 0.0) -> None:
        super().__init__(width, heads=heads, drop_path=drop_path)
        self.down = nn.Linear(width, width // 8)
        self.conv = nn.Conv1d(width // 8, width // 8, kernel_size=3, padding=1)
        self.up = nn.Linear(width // 8, width)
        self.drop_path = DropPath(drop_path)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, patches: Tensor, grid: tuple[int, int]) -> Tensor:
        """See :meth:`CrossFrame.forward`."""
        n, t, locations, _ = patches.shape
        # (N, T, L, C/8) -> (N*L, C/8, T): 3x1x1 over (T, H, W) is a Conv1d at every location.
        x = self.down(patches).permute(0, 2, 3, 1).reshape(n * locations, -1, t)
        x = F.gelu(self.conv(x))
        x = x.unflatten(0, (n, locations)).permute(0, 3, 1, 2)  # (N, T, L, C/8)
        return self.drop_path(self.up(x))


@MODELS.register_module()
class DenseTemporalConv(CrossFrame):
    """A dense 3x3x3 convolution of C channels, then a linear layer that starts at zero.

    An early revision of STAN's released code has it in place of Eq. 9.

    Args:
        width: C, the tower's width.
        heads: Not read.
        drop_path: Probability with which a clip's update is dropped in training.
    """

    def __init__(self, width: int, *, heads: int, drop_path: float = 0.0) -> None:
        super().__init__(width, heads=heads, drop_path=drop_path)
        self.conv = nn.Conv3d(width, width, kernel_size=3, padding=1)
        self.drop_path = DropPath(drop_path)
        self.fc = nn.Linear(width, width)
        nn.init.zeros_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)

    def forward(self, patches: Tensor, grid: tuple[int, int]) -> Tensor:
        """See :meth:`CrossFrame.forward`."""
        x = patches.unflatten(2, grid).permute(0, 4, 1, 2, 3)  # (N, C, T, h, w)
        x = self.drop_path(self.conv(x))
        return self.fc(x.permute(0, 2, 3, 4, 1).flatten(2, 3))
