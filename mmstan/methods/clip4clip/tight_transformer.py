"""CLIP4Clip's tight similarity: a transformer over the sentence and the frames of a pair."""

from __future__ import annotations

from typing import Any

import torch
from open_clip.transformer import LayerNorm, QuickGELU
from torch import Tensor, nn

from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.models.interactions.base import Interaction
from mmstan.models.layers.sequence_blocks import FrameBlocks
from mmstan.models.layers.tiles import score_in_tiles
from mmstan.models.layers.time_table import stretch_when_loaded, take_first_positions
from mmstan.models.towers.first_blocks import init_from_text, uses_quick_gelu
from mmstan.registry import MODELS


@MODELS.register_module()
class TightTransformer(Interaction):
    """One forward pass for each pair of a text and a video (tightTransf)::

        h = blocks([sentence, x_1, ... x_T] + positions)
        score = out(quick_gelu(pool(LN(h_0))))

    The features are not normalised. The score is not a cosine, so the head's scale is 1. The cost
    is A * B passes over 1 + T tokens, computed in tiles (:func:`score_in_tiles`).

    Args:
        width: D, width of the joint space.
        heads: Attention heads.
        layers: Number of blocks.
        max_frames: Number of positions of frames; the sentence has one more.
        dropout: Dropout of the blocks' input. It is drawn once for a text or video, not for every
            pair, so that the backward pass can compute a tile again.
        init_from: ``dict(model=, pretrained=)`` of a text tower of width ``width``, whose first
            blocks and positions :meth:`init_weights` copies. None leaves random weights.
    """

    reads_text_tokens = False

    def __init__(
        self,
        width: int,
        *,
        heads: int,
        layers: int = 4,
        max_frames: int = 76,
        dropout: float = 0.1,
        init_from: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.init_from = init_from
        self.positions = nn.Parameter(torch.empty(1 + max_frames, width))
        stretch_when_loaded(self, 'positions', first=1, cut=True)
        quick_gelu = uses_quick_gelu(init_from)
        self.blocks = FrameBlocks(width, heads=heads, layers=layers, quick_gelu=quick_gelu)
        self.dropout = nn.Dropout(dropout)
        self.norm = LayerNorm(width, eps=1e-12)
        self.pool = nn.Linear(width, width)
        self.activation = QuickGELU()
        self.out = nn.Linear(width, 1)
        nn.init.normal_(self.positions, std=0.02)
        for linear in (self.pool, self.out):
            nn.init.normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)

    def init_weights(self) -> None:
        """Copy the first blocks and positions of the text tower that ``init_from`` names."""
        if self.init_from is not None:
            init_from_text(self, self.init_from, tables=['positions'], blocks=['blocks'])

    def forward(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """Scores (A, B).

        Raises:
            ValueError: T is more than ``max_frames``.
        """
        t = video.frames.shape[1]
        times = take_first_positions(self.positions[1:], t)  # position 0 is the sentence's
        with torch.autocast(text.sentence.device.type, enabled=False):
            # Dropout here, outside of the tiles: these are computed twice in training.
            sentences = self.dropout(text.sentence.float() + self.positions[0])
            frames = self.dropout(video.frames.float() + times)
            widest = 4 * sentences.shape[-1]  # the MLPs' hidden layer
            return score_in_tiles(
                self._score, [sentences], [frames, video.mask], per_pair=(1 + t) * widest
            )

    def _score(self, sentences: Tensor, frames: Tensor, mask: Tensor) -> Tensor:
        """A tile: sentences (a, D), frames (b, T, D) and their mask (b, T) -> scores (a, b)."""
        a, b = sentences.shape[0], frames.shape[0]
        # Every pair is a sequence of its own, [sentence, x_1, ... x_T].
        pairs = torch.cat(
            [
                sentences[:, None, None].expand(a, b, 1, -1),
                frames.expand(a, b, -1, -1),
            ],
            dim=2,
        ).flatten(0, 1)  # (a * b, 1 + T, D)
        # The sentence is always real: (b, 1 + T), repeated for each of the a texts.
        seen = torch.cat([mask.new_ones(b, 1), mask], dim=1).repeat(a, 1)
        first = self.blocks(pairs, seen)[:, 0]  # h_0, the sentence's row, (a * b, D)
        return self.out(self.activation(self.pool(self.norm(first)))).unflatten(0, (a, b))[..., 0]
