"""X-CLIP's multi-frame integration transformer."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModule
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn

from mmstan.models.layers.time_table import TimeInterpolation, fit_time_table, stretch_loaded_table
from mmstan.models.towers.block import OpenClipBlock
from mmstan.registry import MODELS
from mmstan.wording import check_choice


@MODELS.register_module()
class MultiFrameIntegration(BaseModule):
    """Frames -> a video: ``mean over t of (x + blocks(x + positions))``.

    X-CLIP Eq. 6. The residual around the blocks is in the released code, not in the paper.

    Args:
        width: D, width of the frame features.
        num_frames: T, the length of the time table.
        heads: Attention heads, D / 64 as released.
        layers: Number of blocks.
        time_interpolation: ``'linear'`` stretches the time table for clips of another length, and
            a checkpoint's table to ``num_frames`` when it is loaded.

    Example:
        >>> import torch
        >>> from mmstan.methods.xclip import MultiFrameIntegration
        >>> neck = MultiFrameIntegration(64, num_frames=8, heads=1)
        >>> neck(torch.zeros(2, 8, 64))[0].shape
        torch.Size([2, 64])
    """

    def __init__(
        self,
        width: int,
        *,
        num_frames: int,
        heads: int,
        layers: int = 1,
        time_interpolation: TimeInterpolation | None = None,
    ) -> None:
        super().__init__()
        check_choice('time_interpolation', time_interpolation, TimeInterpolation, optional=True)
        self.positions = nn.Parameter(torch.empty(1, num_frames, width))
        self.blocks = nn.ModuleList(
            OpenClipBlock(ResidualAttentionBlock(width, heads, act_layer=QuickGELU))
            for _ in range(layers)
        )
        self.time_interpolation = time_interpolation
        nn.init.trunc_normal_(self.positions, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        self.register_load_state_dict_pre_hook(_stretch_loaded)

    def forward(
        self, x: Tensor | tuple[Tensor, Tensor], data_samples: list[Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """Frame features (N, T, D) -> a video's (N, D), and no auxiliary loss.

        From (frames, context) it gives (video, context): the context passes unchanged.

        Raises:
            ValueError: T is not ``num_frames``, and ``time_interpolation`` is None.
        """
        frames = x[0] if isinstance(x, tuple) else x
        # MIT(H + e_temp), pre-norm blocks over the T frames.
        h = frames + self._take_times(frames.shape[1])
        for block in self.blocks:
            h = block(h)
        # AvgPool over the frames; the residual H is without the positions.
        video = (h + frames).mean(dim=1)  # (N, D)
        return (video, *x[1:]) if isinstance(x, tuple) else video, {}

    def _take_times(self, t: int) -> Tensor:
        """Time positions of ``t`` frames, (T, D)."""
        return fit_time_table(self.positions[0], t, interpolation=self.time_interpolation)


def _stretch_loaded(
    neck: MultiFrameIntegration, state: dict[str, Tensor], prefix: str, *_: Any
) -> None:
    """Stretch a checkpoint's time table to ``num_frames``, before it is loaded."""
    stretch_loaded_table(
        state,
        f'{prefix}positions',
        neck.positions.shape[1],
        interpolation=neck.time_interpolation,
    )
