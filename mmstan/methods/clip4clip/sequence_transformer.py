"""CLIP4Clip's and ActionCLIP's sequence transformer over the frames."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmstan.models.features import frame_mask
from mmstan.models.layers.sequence_blocks import FrameBlocks
from mmstan.models.layers.time_table import stretch_when_loaded, take_first_positions
from mmstan.models.towers.first_blocks import init_from_text, uses_quick_gelu
from mmstan.registry import MODELS


@MODELS.register_module()
class SequenceTransformer(BaseModule):
    """Transformer blocks over the frames, with a residual around all of them (seqTransf).

    ``x + blocks(x + positions)``, in which a frame attends to all real frames of its clip.

    Args:
        width: D, width of the joint space.
        heads: Attention heads.
        layers: Number of blocks; 4 in CLIP4Clip, 6 in ActionCLIP.
        max_frames: Number of positions, the most frames of a clip.
        init_from: ``dict(model=, pretrained=)`` of a text tower whose first blocks and positions
            :meth:`init_weights` copies, as CLIP4Clip does; its text width must be ``width``. None
            leaves random weights, as ActionCLIP does.

    Example:
        >>> import torch
        >>> from mmstan.methods.clip4clip import SequenceTransformer
        >>> neck = SequenceTransformer(64, heads=2)
        >>> neck(torch.zeros(2, 8, 64))[0].shape
        torch.Size([2, 8, 64])
    """

    def __init__(
        self,
        width: int,
        *,
        heads: int,
        layers: int = 4,
        max_frames: int = 77,
        init_from: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.init_from = init_from
        self.positions = nn.Parameter(torch.empty(max_frames, width))
        stretch_when_loaded(self, 'positions', cut=True)
        quick_gelu = uses_quick_gelu(init_from)
        self.blocks = FrameBlocks(width, heads=heads, layers=layers, quick_gelu=quick_gelu)
        nn.init.normal_(self.positions, std=0.02)

    def init_weights(self) -> None:
        """Copy the first blocks and positions of the text tower that ``init_from`` names."""
        if self.init_from is not None:
            init_from_text(self, self.init_from, tables=['positions'], blocks=['blocks'])

    def forward(
        self, x: Tensor, data_samples: list[Any] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Frame features (N, T, D) -> same, 0 at padded frames, and no auxiliary loss.

        Raises:
            ValueError: T is more than ``max_frames``.
        """
        mask = frame_mask(x, data_samples)
        h = self.blocks(x + take_first_positions(self.positions, x.shape[1]), mask)
        return (x + h).masked_fill(~mask[:, :, None], 0), {}
