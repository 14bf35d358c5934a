"""CLIP2Video's temporal alignment block.

Letters: M texts or videos of S tokens, K centres, D joint space.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.models.interactions.base import Interaction
from mmstan.registry import MODELS


@MODELS.register_module()
class TemporalAlignment(Interaction):
    """Temporal alignment block, TAB (CLIP2Video Section 3.3).

    Words and frames are assigned to the same K centres, and what they add to a centre is compared::

        a_sk = softmax_k(x_s . w_k)                     assignment of token s to centre k
        v_k  = unit(sum_s a_sk (x_s - e_k))             over real tokens
        v    = unit(mean_k v_k)                         of a text, of a video
        similarity = v_text . v_video

    The start of a text is no word. Frames are those of a
    ``TemporalDifference(..., alignment=True)``: all of them, and every second one behind a block of
    its own. No golden case exists; that features are assigned without being normalised is ours.

    Args:
        dim: D.
        centres: K; 5 as released, 7 on VATEX.
    """

    def __init__(self, dim: int, *, centres: int = 5) -> None:
        super().__init__()
        self.assignment = nn.Parameter(torch.empty(centres, dim))
        self.centres = nn.Parameter(torch.empty(centres, dim))
        for table in (self.assignment, self.centres):
            nn.init.normal_(table, std=1 / 8)

    def forward(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """Cosines (A, B) of the aligned texts and videos.

        Raises:
            ValueError: The videos have no tokens for the alignment.
        """
        if video.tokens is None:
            raise ValueError(
                'the alignment reads tokens that the neck makes: set '
                "neck=dict(type='mmstan.TemporalDifference', alignment=True, ...)"
            )
        words = text.mask.clone()
        words[:, 0] = False  # the start of the text
        # All frames, then every second one (TemporalDifference).
        frames = torch.cat([video.mask, video.mask[:, ::2]], dim=1)
        with torch.autocast(text.tokens.device.type, enabled=False):
            return self.align(text.tokens, words) @ self.align(video.tokens, frames).T

    def align(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Tokens (M, S, D), mask (M, S) -> one feature each, L2-normalised, float32 (M, D)."""
        x = tokens.float().masked_fill(~mask[:, :, None], 0)
        a = (x @ self.assignment.T).softmax(dim=-1) * mask[:, :, None]  # (M, S, K)
        # sum_s a_sk (x_s - e_k) = sum_s a_sk x_s - e_k sum_s a_sk
        residual = a.mT @ x - self.centres * a.sum(dim=1)[:, :, None]  # (M, K, D)
        return F.normalize(F.normalize(residual, dim=-1).mean(dim=1), dim=-1)
