"""A text tower's blocks over frames, and their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from open_clip.transformer import LayerNorm, QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn

from mmstan.models.towers.architecture import find_architecture
from mmstan.models.towers.weights import find_weights, load_part, read_weights


class FrameBlocks(nn.ModuleList):
    """Transformer blocks of CLIP's text tower, over frames that all see one another.

    LayerNorm's eps is 1e-12, as in CLIP4Clip and in what was built on it. Random weights are
    ActionCLIP's: N(0, 0.02), biases 0.

    Args:
        width: D.
        heads: Attention heads.
        layers: Number of blocks.
        quick_gelu: Whether the MLPs use QuickGELU instead of GELU.
    """

    def __init__(self, width: int, *, heads: int, layers: int, quick_gelu: bool = True) -> None:
        activation = QuickGELU if quick_gelu else nn.GELU
        norm = partial(LayerNorm, eps=1e-12)
        block = partial(ResidualAttentionBlock, act_layer=activation, norm_layer=norm)
        super().__init__(block(width, heads) for _ in range(layers))
        self.heads = heads
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Frames (N, S, D), the real ones in ``mask`` (N, S) -> same; padding holds nothing."""
        n, s, _ = x.shape
        keys = mask | ~mask.any(dim=1, keepdim=True)  # kernels may make NaN of a row without keys
        bias = torch.zeros_like(keys, dtype=x.dtype).masked_fill_(~keys, -torch.inf)
        bias = bias[:, None, None].expand(n, self.heads, s, s).flatten(0, 1)  # (N * heads, S, S)
        for block in self:
            x = block(x, attn_mask=bias)
        return x


def uses_quick_gelu(init_from: Mapping[str, Any] | None) -> bool:
    """The activation of the text tower that ``init_from`` names; CLIP's without one."""
    return init_from is None or find_architecture(**init_from).quick_gelu


def init_from_text(
    module: nn.Module,
    init_from: Mapping[str, Any],
    *,
    tables: Sequence[str],
    blocks: Sequence[str],
) -> None:
    """Copy the first positions and blocks of a text tower; the rest of ``module`` stays.

    Args:
        module: Whose parameters are written.
        init_from: ``dict(model=, pretrained=)`` of the text tower.
        tables: Parameters (rows, D) of ``module`` that take the first rows of the positions.
        blocks: :class:`FrameBlocks` of ``module``, each of which takes the first blocks.

    Raises:
        ValueError: The text tower has fewer blocks or positions, or is of another width.
    """
    path = find_weights(find_architecture(**init_from).name, init_from['pretrained'])
    weights = read_weights(path)
    copied = (*tables, *(f'{name}.' for name in blocks))
    own = {k: v for k, v in module.state_dict().items() if not k.startswith(copied)}
    if (positions := weights.get('text.positional_embedding')) is not None:
        own |= {name: positions[: len(module.get_parameter(name))] for name in tables}
    for name in blocks:
        for i in range(len(module.get_submodule(name))):  # type: ignore[arg-type]
            theirs = f'text.transformer.resblocks.{i}.'
            own |= {
                f'{name}.{i}.{key.removeprefix(theirs)}': tensor
                for key, tensor in weights.items()
                if key.startswith(theirs)
            }
    text = {f'text.{key}': tensor for key, tensor in own.items()}
    load_part(module, text, prefix='text.', source=str(path))
