"""What every interaction shares: texts and videos in the joint space -> similarities."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mmengine.model import BaseModule
from torch import Tensor

from mmstan.models.features import TextFeatures, VideoFeatures


class Interaction(BaseModule, ABC):
    """A texts x B videos -> similarities (A, B), rows are texts, float32 and without a scale."""

    reads_text_tokens: bool = True
    """Whether single tokens are read; else ``text.tokens`` may be the sentences, (A, 1, D)."""
    reads_video_tokens: bool = False
    """Whether ``video.tokens`` is read."""

    @abstractmethod
    def forward(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """Similarities (A, B)."""
