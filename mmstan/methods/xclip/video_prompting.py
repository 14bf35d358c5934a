"""X-CLIP's video-specific prompting: class names attend to the patches of a video.

Letters: K classes, N videos, L patches, D joint space.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmstan.models.layers.attention import apply_linear, apply_quick_gelu_mlp
from mmstan.models.layers.tiles import needs_one_tile, score_in_tiles

_ELEMENTS = {'cpu': 2**22, 'cuda': 2**26}  # of a tile's widest tensor; larger ones are no faster


class PromptingLayer(nn.Module):
    """A class attends to the patches, then passes an MLP (X-CLIP Eq. 10, pre-norm as released).

    Classes do not attend to each other.

    Args:
        width: D.
        heads: Attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def project_keys_values(self, context: Tensor) -> Tensor:
        """Normalised context (N, L, D) -> keys and values (N, L, 2, heads, D/heads)."""
        return self.key_value(context).unflatten(-1, (2, self.heads, -1))

    def forward(self, x: Tensor, keys_values: Tensor) -> Tensor:
        """Classes (N, K, D), or (1, K, D) if still the same for all videos -> (N, K, D)."""
        q = self.query(self.ln_1(x)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = keys_values.permute(2, 0, 3, 1, 4).unbind(0)  # each (N, heads, L, D/heads)
        update = F.scaled_dot_product_attention(q.expand(k.shape[0], -1, -1, -1), k, v)
        update = update.transpose(1, 2).flatten(2)  # (N, K, D)
        # Eq. 10: c + MHA(LN(c), context), then c + FFN(LN(c)).
        x = x + apply_linear(update, self.out)
        return x + apply_quick_gelu_mlp(self.ln_2(x), self.up, self.down)


class VideoPrompting(nn.Module):
    """Cosines of videos and class names, each name prompted by each video.

    The prompted name is ``c + alpha * layers(c)``; the layers read the video's patches. N * K names
    pass through the layers, but only a tile of them is in memory at a time, in the backward pass
    too (:func:`score_in_tiles`), so memory does not grow with K. If all pairs fit into one tile,
    the backward pass computes nothing again.

    Args:
        width: D.
        heads: Attention heads.
        layers: Number of layers.
        alpha: Initial value of the factors on the prompts, one factor for each of the D channels.
    """

    def __init__(self, width: int, *, heads: int, layers: int = 2, alpha: float = 0.1) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(PromptingLayer(width, heads) for _ in range(layers))
        self.alpha = nn.Parameter(torch.full((width,), alpha))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, texts: Tensor, video: Tensor, context: Tensor) -> Tensor:
        """Class names (K, D), videos (N, D), their context (N, L, D) -> cosines (N, K), float32.

        Names and videos need not be normalised.
        """
        # Names are kept in float32, and a context may be of half precision.
        texts, context = texts.to(self.alpha.dtype), context.to(self.alpha.dtype)
        videos = [video, *self._project_keys_values(context)]
        # A pair's widest tensor: the MLP's hidden layer, or attention's scores if not fused.
        widest = max(4 * texts.shape[1], self.heads * context.shape[1])
        elements = _ELEMENTS.get(texts.device.type, 2**24)
        if needs_one_tile() or texts.shape[0] * video.shape[0] * widest <= elements:
            return self._score_tile(texts, *videos).T
        return score_in_tiles(
            self._score_tile, [texts], videos, per_pair=widest, elements=elements
        ).T

    def prompted(self, texts: Tensor, context: Tensor) -> Tensor:
        """Class names (K, D), context (N, L, D) -> each video's class names (N, K, D), at once."""
        return self._prompt(texts, *self._project_keys_values(context))

    def _project_keys_values(self, context: Tensor) -> list[Tensor]:
        """Context (N, L, D) -> keys and values of each layer, which do not depend on the class."""
        context = self.norm(context)
        return [cast(PromptingLayer, layer).project_keys_values(context) for layer in self.layers]

    def _prompt(self, texts: Tensor, *keys_values: Tensor) -> Tensor:
        """Class names (K, D), keys and values of n videos -> prompted names (n, K, D)."""
        x = texts[None]  # (1, K, D): the first queries are the same for all videos
        for layer, keys_value in zip(self.layers, keys_values):
            x = layer(x, keys_value)
        return texts + self.alpha * x  # (N, K, D)

    def _score_tile(self, texts: Tensor, video: Tensor, *keys_values: Tensor) -> Tensor:
        """One tile: texts (k, D), videos (n, D) -> cosines (k, n)."""
        names = self._prompt(texts, *keys_values)  # (n, k, D)
        with torch.autocast(texts.device.type, enabled=False):  # cosines x 100 do not bear bf16
            names, video = F.normalize(names.float(), dim=-1), F.normalize(video.float(), dim=-1)
            return (names @ video[:, :, None])[..., 0].T
