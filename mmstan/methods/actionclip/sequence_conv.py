"""ActionCLIP's convolution over the frames."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmstan.models.features import frame_mask
from mmstan.registry import MODELS


@MODELS.register_module()
class SequenceConv(BaseModule):
    """A convolution over three frames, channel by channel, with a residual around it (Conv1D).

    It starts as a shift: a quarter of the channels reads the previous frame, half of them the same
    frame, a quarter the next one (ActionCLIP). The released code confuses time and channels before
    the convolution; here they are in their right places.

    Args:
        width: D, width of the joint space.

    Example:
        >>> import torch
        >>> from mmstan.methods.actionclip import SequenceConv
        >>> SequenceConv(64)(torch.zeros(2, 8, 64))[0].shape
        torch.Size([2, 8, 64])
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, kernel_size=3, padding=1, groups=width, bias=False)
        quarter = width // 4
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[:quarter, 0, 0] = 1
            self.conv.weight[quarter:-quarter, 0, 1] = 1
            self.conv.weight[-quarter:, 0, 2] = 1

    def forward(
        self, x: Tensor, data_samples: list[Any] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Frame features (N, T, D) -> same, 0 at padded frames, and no auxiliary loss."""
        padding = ~frame_mask(x, data_samples)[:, :, None]
        x = x.masked_fill(padding, 0)  # zeros, as in front of the first frame and behind the last
        return (x + self.conv(x.mT).mT).masked_fill(padding, 0), {}
