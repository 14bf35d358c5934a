"""X-CLIP's multi-frame integration transformer."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn

from mmstan.models.features import average_real_frames, frame_mask
from mmstan.models.layers.time_table import TimeInterpolation, fit_time_table, stretch_loaded_table
from mmstan.models.towers.block import Block, OpenClipBlock
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

        From (frames, context) it gives (video, context): the context passes unchanged. Padded
        frames (:func:`frame_mask`) take no part.

        Raises:
            ValueError: T is not ``num_frames``, and ``time_interpolation`` is None; or a mask has
                another length.
        """
        frames = x[0] if isinstance(x, tuple) else x
        # MIT(H + e_temp), pre-norm blocks over the T frames.
        h = frames + self._take_times(frames.shape[1])
        # AvgPool over the frames; the residual H is without the positions: (N, D).
        if _has_masks(data_samples):
            mask = frame_mask(frames, data_samples)
            for block in self.blocks:
                h = block(h, _attend_to_real(cast(Block, block), h, mask))
            with torch.autocast(h.device.type, enabled=False):  # the mean is a matrix product
                video = average_real_frames(h + frames, mask)
        else:
            for block in self.blocks:
                h = block(h)
            video = (h + frames).mean(dim=1)
        return (video, *x[1:]) if isinstance(x, tuple) else video, {}

    def _take_times(self, t: int) -> Tensor:
        """Time positions of ``t`` frames, (T, D)."""
        return fit_time_table(self.positions[0], t, interpolation=self.time_interpolation)


def _has_masks(data_samples: list[Any] | Tensor | None) -> bool:
    """Whether a sample has a frame mask; an exported model gets the masks themselves."""
    if isinstance(data_samples, Tensor):
        return True
    return any(getattr(x, 'frame_mask', None) is not None for x in data_samples or ())


def _attend_to_real(block: Block, x: Tensor, mask: Tensor) -> Tensor:
    """Attention's update by ``block`` of frames (N, T, D), real where ``mask`` (N, T) is True."""
    # Where all frames are padding, all are keys: a row without keys gives NaN.
    keys = mask | ~mask.any(dim=1, keepdim=True)
    q, k, v = block.queries_keys_values(x)  # (N, heads, T, D/heads)
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=keys[:, None, None])
    return block.project_out(mixed.transpose(1, 2).flatten(2))


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
