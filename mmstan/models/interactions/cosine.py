"""The cosine between a text and the mean frame."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mmstan.models.features import TextFeatures, VideoFeatures, average_real_frames, l2_normalise
from mmstan.models.interactions.base import Interaction
from mmstan.registry import MODELS
from mmstan.wording import check_choice


@MODELS.register_module()
class Cosine(Interaction):
    """Mean pooling: the cosine of the sentence and the mean of the frames.

    Args:
        frames: ``'normalised'`` gives every frame the same weight in the mean (CLIP4Clip's meanP),
            ``'raw'`` averages the features without normalising them (STAN).
    """

    reads_text_tokens = False

    def __init__(self, *, frames: Literal['normalised', 'raw'] = 'normalised') -> None:
        super().__init__()
        check_choice('frames', frames, ('normalised', 'raw'))
        self.frames = frames

    def forward(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """Cosines (A, B)."""
        pooled = self.pool(video)
        with torch.autocast(text.sentence.device.type, enabled=False):
            return l2_normalise(text.sentence) @ pooled.T

    def pool(self, video: VideoFeatures) -> Tensor:
        """One feature a video (B, D), L2-normalised, float32."""
        # Of its own: it is also called outside of `forward`, and the mean is a matrix product.
        with torch.autocast(video.frames.device.type, enabled=False):
            normalised = self.frames == 'normalised'
            frames = l2_normalise(video.frames) if normalised else video.frames.float()
            return l2_normalise(average_real_frames(frames, video.mask))
