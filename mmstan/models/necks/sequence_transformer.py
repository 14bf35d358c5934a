"""CLIP4Clip's sequence transformer over the frames."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from mmengine.model import BaseModule
from open_clip.transformer import LayerNorm, QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn

from mmstan.models.necks.frame_mask import frame_mask
from mmstan.models.towers.architecture import find_architecture
from mmstan.models.towers.weights import find_weights, load_part, read_weights
from mmstan.registry import MODELS


@MODELS.register_module()
class SequenceTransformer(BaseModule):
    """Transformer blocks over the frames, with a residual around all of them (seqTransf).

    ``x + blocks(x + positions)``, where a frame sees all real frames of its clip.

    Args:
        width: D, width of the joint space.
        heads: Attention heads.
        layers: Number of blocks.
        max_frames: Positions; a clip may have as many frames at most.
        init_from: ``dict(model=, pretrained=)`` of a text tower whose first blocks and positions
            :meth:`init_weights` copies, as CLIP4Clip does; its text width must be ``width``. None
            leaves random weights.

    Example:
        >>> import torch
        >>> from mmstan.models.necks import SequenceTransformer
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
        self.heads = heads
        self._source: tuple[str, str] | None = None
        activation: type[nn.Module] = QuickGELU
        if init_from is not None:
            arch = find_architecture(**init_from)
            self._source = arch.name, init_from['pretrained']
            activation = QuickGELU if arch.quick_gelu else nn.GELU
        norm = partial(LayerNorm, eps=1e-12)
        block = partial(ResidualAttentionBlock, act_layer=activation, norm_layer=norm)
        self.positions = nn.Parameter(torch.empty(max_frames, width))
        self.blocks = nn.ModuleList(block(width, heads) for _ in range(layers))
        nn.init.normal_(self.positions, std=0.01)

    def init_weights(self) -> None:
        """Copy the first blocks and positions of the text tower that ``init_from`` names."""
        if self._source is None:
            return
        path = find_weights(*self._source)
        blocks = 'text.transformer.resblocks.'
        own = {}
        for name, tensor in read_weights(path).items():
            if name == 'text.positional_embedding':
                own['text.positions'] = tensor[: len(self.positions)]
            elif name.startswith(tuple(f'{blocks}{i}.' for i in range(len(self.blocks)))):
                own[name.replace(blocks, 'text.blocks.')] = tensor
        load_part(self, own, prefix='text.', source=str(path))

    def forward(
        self, x: Tensor, data_samples: list[Any] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Frame features (N, T, D) -> same, 0 at padded frames, and no auxiliary loss.

        Raises:
            ValueError: T is more than ``max_frames``.
        """
        n, t, _ = x.shape
        if t > len(self.positions):
            raise ValueError(
                f'{t} frames, but max_frames={len(self.positions)}; sample fewer, or raise it'
            )
        mask = frame_mask(x, data_samples)
        keys = mask | ~mask.any(dim=1, keepdim=True)  # kernels may make NaN of a row without keys
        bias = torch.zeros_like(keys, dtype=x.dtype).masked_fill_(~keys, -torch.inf)
        bias = bias[:, None, None].expand(n, self.heads, t, t).flatten(0, 1)  # (N * heads, T, T)
        h = x + self.positions[:t]
        for block in self.blocks:
            h = block(h, attn_mask=bias)
        return (x + h).masked_fill(~mask[:, :, None], 0), {}
