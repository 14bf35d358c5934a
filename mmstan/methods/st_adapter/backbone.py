"""ST-Adapter: bottlenecks with a convolution over time in the blocks (NeurIPS 2022, 2206.13559).

Letters: N clips, T frames, L patches, C width of the tower, D joint space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import torch.nn.functional as F
from torch import Tensor, nn

from mmstan.models.backbones.base import VideoBackbone, clip_to_images
from mmstan.models.layers.depthwise_conv import DepthwiseTemporalConv
from mmstan.models.sizes import Sizes
from mmstan.registry import MODELS
from mmstan.wording import check_choice

Place = Literal['attention', 'mlp']
Features = Literal['frames', 'clip']


class Adapter(nn.Module):
    """``up(conv(down(x)))``: C -> hidden, three frames a channel, hidden -> C.

    As in the released code; the paper's formula has an activation before ``up``. The convolution
    starts at zero, so the result is zero at the start.

    Args:
        width: C, the tower's width.
        hidden: Width of the bottleneck.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, hidden)
        self.conv = DepthwiseTemporalConv(hidden)
        self.up = nn.Linear(hidden, width)
        for parameter in (*self.conv.parameters(), self.down.bias, self.up.bias):
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (N, T, 1 + L, C) -> their update, same shape, 0 for the class token."""
        # The class token passes `down` as well: a linear layer would copy a view without it.
        patches = self.conv(self.down(x)[:, :, 1:])
        return F.pad(self.up(patches), (0, 0, 1, 0))


@MODELS.register_module()
class STAdapter(VideoBackbone):
    """An image tower with adapters in its blocks, which mix patches across frames.

    Only patches pass the adapters; the class token attends to the patches in the blocks. At the
    start the backbone computes the same as the tower. In the released recipe the tower is frozen
    and the adapters learn, so no gradient is computed below the first adapter.

    Args:
        tower: Config of an image tower.
        hidden: Width of the adapters.
        layers: Number of last blocks that have adapters; all blocks by default.
        before: Halves of a block with an adapter in front. ``('mlp',)`` is 12 x 384 of the released
            code (Kinetics), ``('attention', 'mlp')`` 24 x 384 (Something-Something).
        features: ``'frames'``: each frame in the joint space, (N, T, D). ``'clip'``: the mean of
            the class tokens, normalised and not projected, (N, 1, C), as in the release. Nothing
            reads the tower's projection then: distributed training of a tower that learns needs
            ``find_unused_parameters=True``.

    Raises:
        ValueError: ``layers``, ``before`` or ``features`` is none of these, or ``features='clip'``
            with a tower whose class token cannot be normalised alone (CoCa).

    Example:
        >>> import torch
        >>> from mmstan.methods.st_adapter import STAdapter
        >>> sizes = dict(image_size=32, layers=2, width=64, patch_size=8, head_width=32)
        >>> model = dict(embed_dim=16, vision_cfg=sizes)
        >>> backbone = STAdapter(dict(type='mmstan.ImageTower', model=model), hidden=8)
        >>> backbone(torch.zeros(2, 3, 8, 32, 32)).shape
        torch.Size([2, 8, 16])
    """

    def __init__(
        self,
        tower: dict[str, Any],
        *,
        hidden: int = 384,
        layers: int | None = None,
        before: Sequence[Place] = ('mlp',),
        features: Features = 'frames',
    ) -> None:
        super().__init__(tower)
        depth = len(self.tower.blocks)
        layers = depth if layers is None else layers
        _check_options(layers, depth, before, features, self.tower.reads_patches)
        self.features = features
        if features == 'clip':
            self.out_dim = self.tower.width
        self.adapters = nn.ModuleDict(
            {
                place: nn.ModuleDict(
                    {
                        str(k): Adapter(self.tower.width, hidden)
                        for k in range(depth - layers, depth)
                    }
                )
                for place in before
            }
        )

    @classmethod
    def narrowed(cls, cfg: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        """See :meth:`VideoBackbone.narrowed`: the adapters become narrow too."""
        changed = super().narrowed(cfg, sizes)
        return dict(changed, hidden=sizes.hidden) if sizes.hidden else changed

    @classmethod
    def narrow_width(cls, cfg: Mapping[str, Any], sizes: Sizes) -> int:
        """See :meth:`VideoBackbone.narrow_width`: ``features='clip'`` is not projected."""
        if cfg.get('features') == 'clip':
            return sizes.width
        return super().narrow_width(cfg, sizes)

    def forward(self, clip: Tensor) -> Tensor:
        """Clip (N, 3, T, H, W) -> frame features (N, T, D), or the clip's (N, 1, C)."""
        x = self._run(clip, only_cls=not self.tower.reads_patches)
        if self.features == 'clip':
            return self.tower.normalise(x.mean(dim=1))  # the last norm, without a projection
        return self.tower.project(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def tokens(self, clip: Tensor) -> Tensor:
        """See :meth:`VideoBackbone.tokens`: the output of the last block."""
        return self._run(clip, only_cls=False)

    def _run(self, clip: Tensor, *, only_cls: bool) -> Tensor:
        """Clip -> tokens of the last block (N, T, 1 + L, C), or class tokens (N, T, 1, C)."""
        x = self.tower.embed(clip_to_images(clip))
        n, last = clip.shape[0], len(self.tower.blocks) - 1
        for k, block in enumerate(self.tower.blocks):
            # A block's two halves, each with its adapter in front.
            x = self._adapt('attention', k, x, n)
            # The last block's patches are not read if the class tokens are enough.
            rows = 1 if only_cls and k == last else x.shape[1]
            x = x[:, :rows] + block.attend(x, rows)
            x = self._adapt('mlp', k, x, n)
            x = x + block.feed_forward(x)
        return x.unflatten(0, (n, -1))

    def _has_adapter(self, place: Place, k: int) -> bool:
        return place in self.adapters and str(k) in cast(nn.ModuleDict, self.adapters[place])

    def _adapt(self, place: Place, k: int, x: Tensor, n: int) -> Tensor:
        """Add the adapter in front of a half of block k to tokens (N*T, S, C), if it has one."""
        if not self._has_adapter(place, k) or x.shape[1] == 1:  # no patches
            return x
        adapter = cast(nn.ModuleDict, self.adapters[place])[str(k)]
        return x + adapter(x.unflatten(0, (n, -1))).flatten(0, 1)


def _check_options(
    layers: int, depth: int, before: Sequence[str], features: str, reads_patches: bool
) -> None:
    if not 1 <= layers <= depth:
        raise ValueError(f'layers={layers}: the tower has {depth} blocks; 1 to {depth}, or None')
    check_choice('before', tuple(before), (('mlp',), ('attention',), ('attention', 'mlp')))
    check_choice('features', features, Features)
    if features == 'clip' and reads_patches:
        raise ValueError(
            "features='clip': the tower pools its patches by attention, there is no class token "
            "to average; take 'frames'"
        )
