"""ActionCLIP's transformer with a class token over the frames."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmstan.models.features import frame_mask
from mmstan.models.layers.time_table import stretch_when_loaded
from mmstan.registry import MODELS


@MODELS.register_module()
class SequenceClassToken(BaseModule):
    """A class token and the frames pass PyTorch's encoder; its output is the video (Transf_cls).

    The blocks are post-norm with ReLU, 2048 wide inside and with dropout 0.1, as PyTorch's defaults
    are. There is no residual around them, so the video starts far from the frames' mean.

    Args:
        width: D, width of the joint space.
        heads: Attention heads.
        num_frames: T, the number of positions.
        layers: Number of blocks.

    Example:
        >>> import torch
        >>> from mmstan.methods.actionclip import SequenceClassToken
        >>> neck = SequenceClassToken(64, heads=2, num_frames=8, layers=1)
        >>> neck(torch.zeros(2, 8, 64))[0].shape
        torch.Size([2, 64])
    """

    def __init__(self, width: int, *, heads: int, num_frames: int, layers: int = 6) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.empty(1, 1, width))
        self.positions = nn.Parameter(torch.empty(1, 1 + num_frames, width))
        stretch_when_loaded(self, 'positions', first=1)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(width, heads, batch_first=True),
            num_layers=layers,
            norm=nn.LayerNorm(width),
            enable_nested_tensor=False,
        )
        linear = [x for x in self.encoder.modules() if isinstance(x, nn.Linear)]
        for weight in (self.class_token, self.positions, *(x.weight for x in linear)):
            nn.init.trunc_normal_(weight, std=0.02)
        for layer in linear:
            nn.init.zeros_(layer.bias)

    def forward(
        self, x: Tensor, data_samples: list[Any] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Frame features (N, T, D) -> the video (N, D), and no auxiliary loss.

        Raises:
            ValueError: T is not ``num_frames``.
        """
        padding = ~frame_mask(x, data_samples)
        (n, t), known = x.shape[:2], self.positions.shape[1] - 1
        if t != known:
            raise ValueError(f'{t} frames, but num_frames={known}; sample as many, or set it')
        padding = torch.cat([padding.new_zeros(n, 1), padding], dim=1)
        tokens = torch.cat([self.class_token.to(x.dtype).expand(n, 1, -1), x], dim=1)
        # The class token is first; padded frames are no keys.
        out = self.encoder(tokens + self.positions.to(x.dtype), src_key_padding_mask=padding)
        return out[:, 0], {}
