"""CLIP2Video's temporal difference block."""

from __future__ import annotations

from typing import Any, Literal

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmstan.models.features import frame_mask
from mmstan.models.layers.sequence_blocks import FrameBlocks
from mmstan.models.layers.time_table import stretch_when_loaded, take_first_positions
from mmstan.models.towers.first_blocks import init_from_text, uses_quick_gelu
from mmstan.registry import MODELS
from mmstan.wording import check_choice

Difference = Literal['attention', 'linear', 'raw']


@MODELS.register_module()
class TemporalDifference(BaseModule):
    """Temporal difference block, TDB (CLIP2Video Section 3.2).

    The differences of neighbouring frames are put between the frames, and blocks read both::

        d_t = 2 sigmoid(LN(block(x_{t+1} - x_t + P_{t+1}))) - 1
        h   = blocks([x_1, d_1, x_2, d_2, ... x_T] + positions + types)
        out_t = x_t + h at x_t

    In the second line d_t has the position of x_t, as released. A difference is real if both of its
    frames are. The released code takes the mask of the first frame, and in a batch of clips of
    different lengths the mask of another clip.

    Args:
        width: D, width of the joint space.
        heads: Attention heads.
        layers: Number of blocks over frames and differences.
        difference: Transform of x_{t+1} - x_t: ``'attention'`` as above; ``'linear'`` with a matrix
            in place of position and block; ``'raw'`` without any. Released as ``sigmoid_selfA``,
            ``sigmoid_mlp`` and ``default``.
        max_frames: Number of positions, the most frames of a clip.
        alignment: Also give the tokens that :class:`TemporalAlignment` reads: the frames, and every
            second one after the block of differences and one block of their own (``actionClip``).
        init_from: ``dict(model=, pretrained=)`` of a text tower of width ``width``, whose first
            blocks and positions :meth:`init_weights` copies. None leaves random weights.

    Example:
        >>> import torch
        >>> from mmstan.methods.clip2video import TemporalDifference
        >>> neck = TemporalDifference(64, heads=2)
        >>> neck(torch.zeros(2, 8, 64))[0].shape
        torch.Size([2, 8, 64])
    """

    def __init__(
        self,
        width: int,
        *,
        heads: int,
        layers: int = 4,
        difference: Difference = 'attention',
        max_frames: int = 77,
        alignment: bool = False,
        init_from: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        check_choice('difference', difference, Difference)
        self.difference, self.init_from = difference, init_from
        quick_gelu = uses_quick_gelu(init_from)
        self.positions = nn.Parameter(torch.empty(max_frames, width))
        stretch_when_loaded(self, 'positions', cut=True)
        self.type_embeddings = nn.Parameter(torch.empty(2, width))  # of differences, of frames
        self.blocks = FrameBlocks(width, heads=heads, layers=layers, quick_gelu=quick_gelu)
        self.alignment_blocks = None
        if alignment:
            self.alignment_blocks = FrameBlocks(width, heads=heads, layers=1, quick_gelu=quick_gelu)
        if difference == 'attention':
            self.difference_blocks = FrameBlocks(
                width, heads=heads, layers=1, quick_gelu=quick_gelu
            )
        if difference == 'linear':
            self.projection = nn.Linear(width, width, bias=False)
        if difference != 'raw':
            self.difference_norm = nn.LayerNorm(width)
        for table in (self.positions, self.type_embeddings):
            nn.init.normal_(table, std=0.02)

    def init_weights(self) -> None:
        """Copy the first blocks and positions of the text tower that ``init_from`` names."""
        if self.init_from is None:
            return
        blocks = [
            x for x in ('blocks', 'difference_blocks', 'alignment_blocks') if getattr(self, x, 0)
        ]
        tables = ['positions', 'type_embeddings']
        init_from_text(self, self.init_from, tables=tables, blocks=blocks)

    def forward(
        self, x: Tensor, data_samples: list[Any] | None = None
    ) -> tuple[Tensor | tuple[Tensor, Tensor], dict[str, Tensor]]:
        """Frame features (N, T, D) -> same, 0 at padded frames, and no auxiliary loss.

        With ``alignment`` the frames are followed by tokens (N, T + ceil(T / 2), D).

        Raises:
            ValueError: T is more than ``max_frames``.
        """
        mask = frame_mask(x, data_samples)
        frames = self._mix(x, mask, self.blocks)
        if self.alignment_blocks is None:
            return frames, {}
        second = self._mix(x[:, ::2], mask[:, ::2], self.alignment_blocks)
        return (frames, torch.cat([x, second], dim=1)), {}

    def _mix(self, x: Tensor, mask: Tensor, blocks: nn.Module) -> Tensor:
        """Frames (N, T, D), mask (N, T) -> with the differences between them, through blocks."""
        # A difference is real if both of its frames are.
        both = mask[:, 1:] & mask[:, :-1]  # (N, T - 1)
        tokens = self.interleave(x, self.differences(x, both))
        h = blocks(tokens, _alternate(mask[..., None], both[..., None])[..., 0])
        # Rows 0, 2, 4, ... are the frames.
        return (x + h[:, ::2]).masked_fill(~mask[:, :, None], 0)

    def differences(self, x: Tensor, mask: Tensor) -> Tensor:
        """Frames (N, T, D) -> differences (N, T - 1, D), real where ``mask`` (N, T - 1) is True."""
        d = x[:, 1:] - x[:, :-1]
        if self.difference == 'raw' or not d.shape[1]:  # attention needs at least one token
            return d
        if self.difference == 'attention':
            positions = take_first_positions(self.positions, x.shape[1])
            d = self.difference_blocks(d + positions[1:], mask)
        else:
            d = self.projection(d)
        # Into (-1, 1), the range of a difference.
        return 2 * self.difference_norm(d).sigmoid() - 1

    def interleave(self, x: Tensor, d: Tensor) -> Tensor:
        """Frames (N, T, D) and differences (N, T - 1, D) -> the blocks' input (N, 2T - 1, D)."""
        positions = take_first_positions(self.positions, x.shape[1])
        of_difference, of_frame = self.type_embeddings
        # Difference t has the position of frame t, and a type of its own.
        return _alternate(x + positions + of_frame, d + positions[:-1] + of_difference)


def _alternate(frames: Tensor, differences: Tensor) -> Tensor:
    """(N, T, D) and (N, T - 1, D) -> x_1, d_1, x_2, ... x_T, (N, 2T - 1, D)."""
    pairs = torch.stack([frames[:, :-1], differences], dim=2).flatten(1, 2)
    return torch.cat([pairs, frames[:, -1:]], dim=1)
