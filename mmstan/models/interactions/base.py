"""The contract of interactions: texts and videos in the joint space -> similarities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor

from mmstan.models.features import TextFeatures, VideoFeatures


class Interaction(BaseModule, ABC):
    """A texts x B videos -> similarities (A, B), rows are texts, float32 and without a scale.

    To write a new one:

    1. Set :attr:`reads_text_tokens` and :attr:`reads_video_tokens`, so that the model computes no
       tokens that the interaction does not read.
    2. Write :meth:`forward`. Features come without normalisation; padding (``mask``) must not
       change a similarity.
    3. Where a pair needs more than one number, call :func:`score_in_tiles`, so that memory does not
       grow with A * B.
    """

    reads_text_tokens: bool = True
    """Whether ``text.tokens`` is read; where not, it may be the sentences (A, 1, D)."""
    reads_video_tokens: bool = False
    """Whether the backbone's tokens are read, as ``video.tokens``."""

    @property
    def terms(self) -> Sequence[Interaction]:
        """Interactions whose mean this one is; each has its own contrastive loss."""
        return [self]

    @abstractmethod
    def forward(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """Similarities (A, B)."""
