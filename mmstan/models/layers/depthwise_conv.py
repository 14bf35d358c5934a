"""Convolution over time, each channel on its own."""

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
        """Tokens (N, T, S, C) -> same, every token mixed with its like in the frames beside."""
        # As images of T x S pixels, channels last: nothing is copied. A Conv3d takes ten times as
        # long, a Conv1d needs the tokens transposed.
        x = x.permute(0, 3, 1, 2)  # (N, C, T, S)
        x = F.conv2d(x, self.weight[..., None], self.bias, padding=(1, 0), groups=self.groups)
        return x.permute(0, 2, 3, 1)
