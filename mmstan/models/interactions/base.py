"""What every interaction shares: texts and videos in the joint space -> similarities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from mmengine.model import BaseModule
from torch import Tensor

from mmstan.models.towers import TextFeatures


class VideoFeatures(NamedTuple):
    """Videos in the joint space, not normalised. B videos, T frames, S tokens, D joint width."""

    frames: Tensor
    """Every frame, (B, T, D); a video as a whole is (B, 1, D)."""
    mask: Tensor
    """Which frames are real and not padding, boolean (B, T)."""
    tokens: Tensor | None = None
    """Every token of the real and padded frames, frame by frame, (B, T * (1 + L), D), where an
    interaction reads them."""


class Interaction(BaseModule, ABC):
    """A texts x B videos -> similarities (A, B), rows are texts, float32 and without a scale."""

    reads_text_tokens: bool = True
    """Whether single tokens are read; else ``text.tokens`` may be the sentences, (A, 1, D)."""
    reads_video_tokens: bool = False
    """Whether ``video.tokens`` is read."""

    @abstractmethod
    def forward(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """Similarities (A, B)."""
