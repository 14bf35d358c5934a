"""CLIP4Clip's LSTM over the frames."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmstan.models.features import frame_mask
from mmstan.registry import MODELS


@MODELS.register_module()
class SequenceLSTM(BaseModule):
    """An LSTM forward in time over the real frames, with a residual around it (seqLSTM).

    Args:
        width: D, width of the joint space.

    Example:
        >>> import torch
        >>> from mmstan.methods.clip4clip import SequenceLSTM
        >>> SequenceLSTM(64)(torch.zeros(2, 8, 64))[0].shape
        torch.Size([2, 8, 64])
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width, batch_first=True)

    def forward(
        self, x: Tensor, data_samples: list[Any] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Frame features (N, T, D) -> same, 0 at padded frames, and no auxiliary loss."""
        mask = frame_mask(x, data_samples)
        # Real frames first, in their order: padding behind them cannot change them.
        order = mask.int().argsort(dim=1, descending=True, stable=True)
        order = order[:, :, None].expand_as(x)
        # cuDNN's LSTM has no gradients in evaluation mode, which maps ask for; PyTorch's own has.
        own = x.is_cuda and not self.training and torch.is_grad_enabled()
        with torch.backends.cudnn.flags(enabled=False) if own else nullcontext():
            h, _ = self.lstm(x.gather(1, order))
        h = h.new_zeros(h.shape).scatter(1, order, h)  # back into the frames' order
        return (x + h).masked_fill(~mask[:, :, None], 0), {}
