"""The mean over time."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmstan.models.features import average_real_frames, frame_mask
from mmstan.registry import MODELS


@MODELS.register_module()
class MeanPool(BaseModule):
    """Frame features (N, T, D) -> their mean (N, D), not normalised before or after.

    Padded frames (:func:`frame_mask`) take no part.
    """

    def forward(
        self, x: Tensor, data_samples: list[Any] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(N, T, D) -> (N, D) and no auxiliary loss, the pair that MMAction2's recognizers take."""
        mask = frame_mask(x, data_samples)
        with torch.autocast(x.device.type, enabled=False):  # the mean is a matrix product, float32
            return average_real_frames(x, mask), {}
