"""Convolution over time, channel by channel."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class DepthwiseTemporalConv(nn.Conv1d):
    """A kernel of three frames for each channel, zeros before the first and after the last frame.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, kernel_size=3, padding=1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (N, T, S, C) -> same; a token reads its own location in three frames."""
        # A clip is an image of T x S pixels, channels last, so nothing is copied. A Conv3d takes
        # ten times as long; a Conv1d needs a transposed copy of the tokens.
        x = x.permute(0, 3, 1, 2)  # (N, C, T, S)
        x = F.conv2d(x, self.weight[..., None], self.bias, padding=(1, 0), groups=self.groups)
        return x.permute(0, 2, 3, 1)
