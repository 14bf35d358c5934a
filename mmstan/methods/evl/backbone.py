"""EVL: a decoder that reads the last blocks of a frozen tower (ECCV 2022, arXiv 2208.03550).

Letters: N clips, T frames, L patches, C width of the tower, K layers of the decoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from mmstan.methods.evl.decoder import DecoderLayer
from mmstan.models.backbones.base import VideoBackbone, clip_to_images
from mmstan.models.sizes import Sizes
from mmstan.registry import MODELS


@MODELS.register_module()
class EVL(VideoBackbone):
    """A query token that attends, layer by layer, to the outputs of the tower's last K blocks.

    The tower's computation is not changed. In the paper the tower is frozen; then no gradient
    passes through it. Nothing reads its last norm and projection: distributed training of a tower
    that learns needs ``find_unused_parameters=True``.

    Args:
        tower: Config of an image tower.
        layers: K, the number of last tower blocks that the decoder reads.
        num_frames: T, length of the time tables.
        image_size: Pixels of a frame's side, which sets the size of the offset tables.
        heads: Attention heads of the decoder; the tower's by default.
        attention_width: Width of the decoder's queries, keys and values; C by default.
        dropout: Dropout in the decoder's MLPs.

    Raises:
        ValueError: The tower has fewer blocks than ``layers``, ``image_size`` is not a multiple of
            its patches, or the heads do not divide the width.

    Example:
        >>> import torch
        >>> from mmstan.methods.evl import EVL
        >>> sizes = dict(image_size=32, layers=2, width=64, patch_size=8, head_width=32)
        >>> model = dict(embed_dim=16, vision_cfg=sizes)
        >>> tower = dict(type='mmstan.ImageTower', model=model, frozen=True)
        >>> backbone = EVL(tower, layers=2, num_frames=8, image_size=32)
        >>> backbone(torch.zeros(2, 3, 8, 32, 32)).shape
        torch.Size([2, 1, 64])
    """

    unused_by_map = (
        *VideoBackbone.unused_by_map,
        r'query_token|(layers|norm)\..*',
    )

    def __init__(
        self,
        tower: dict[str, Any],
        *,
        layers: int = 4,
        num_frames: int = 8,
        image_size: int = 224,
        heads: int | None = None,
        attention_width: int | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(tower)
        depth, c = len(self.tower.blocks), self.tower.width
        if not 1 <= layers <= depth:
            raise ValueError(f'layers={layers}: the tower has {depth} blocks to read, 1 to {depth}')
        self.out_dim = c
        self.grid = self.tower.grid(torch.empty(0, image_size, image_size))
        self.query_token = nn.Parameter(torch.zeros(c))
        self.layers = nn.ModuleList(
            DecoderLayer(
                c,
                heads=self.tower.heads if heads is None else heads,
                attention_width=c if attention_width is None else attention_width,
                num_frames=num_frames,
                grid=self.grid,
                dropout=dropout,
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(c)

    @classmethod
    def narrowed(cls, cfg: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        """See :meth:`VideoBackbone.narrowed`: the offset tables are for the image size."""
        changed = super().narrowed(cfg, sizes)
        return dict(changed, image_size=sizes.image_size) if sizes.image_size else changed

    @classmethod
    def narrow_width(cls, cfg: Mapping[str, Any], sizes: Sizes) -> int:
        """See :meth:`VideoBackbone.narrow_width`: the query token is not projected."""
        return sizes.width

    def forward(self, clip: Tensor) -> Tensor:
        """Clip (N, 3, T, H, W) -> the query token after the last layer, normalised, (N, 1, C).

        Raises:
            ValueError: ``image_size`` gives another grid of patches than the frames, or T is not
                ``num_frames``.
        """
        return self._decode(clip)[0]

    def run_every_token(self, clip: Tensor) -> Tensor:
        """See :meth:`VideoBackbone.run_every_token`: the decoder projects all keys and values."""
        return self._decode(clip, every_token=True)[1]

    def _decode(self, clip: Tensor, *, every_token: bool = False) -> tuple[Tensor, Tensor]:
        """Clip -> the query token (N, 1, C), and the tower's tokens (N, T, 1 + L, C)."""
        images, n = clip_to_images(clip), clip.shape[0]
        if self.tower.grid(images) != self.grid:
            raise ValueError(
                f'frames of {tuple(clip.shape[-2:])} pixels have {self.tower.grid(images)} '
                f'patches, but the offset tables are for {self.grid}; crop the frames to '
                'image_size in the pipeline, or set it'
            )
        x = self.tower.embed(images)
        # One query token a clip, (N, 1, C), carried through the decoder's layers.
        query = self.query_token.repeat(n, 1, 1)
        first = len(self.tower.blocks) - len(self.layers)
        for k, block in enumerate(self.tower.blocks):
            if k < first:
                x = block(x)
                continue
            # The decoder reads the block's own queries and keys, which are computed once.
            update, *of_tokens = block.attend_with_queries_keys(x)
            x = block(x, update)
            # Without the class token, frame by frame: (N, T, heads, L, C/heads).
            queries, keys = (y[:, :, 1:].unflatten(0, (n, -1)) for y in of_tokens)
            layer = cast(DecoderLayer, self.layers[k - first])
            query = layer(query, x.unflatten(0, (n, -1)), queries, keys, every_token)
        return self.norm(query), x.unflatten(0, (n, -1))

    def layer_groups(self) -> dict[str, list[nn.Module]]:
        """See :meth:`VideoBackbone.layer_groups`: adds the tokens that the decoder attends to."""
        mixed: list[nn.Module] = [cast(DecoderLayer, layer).mixed for layer in self.layers]
        return {**super().layer_groups(), 'decoder': mixed}

    def tokens(self, clip: Tensor) -> Tensor:
        """See :meth:`VideoBackbone.tokens`: the tower's tokens, which the decoder only reads."""
        x = self.tower.run_all_rows(self.tower.embed(clip_to_images(clip)))
        return x.unflatten(0, (clip.shape[0], -1))
