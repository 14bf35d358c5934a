"""The mean of several interactions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.models.interactions.base import Interaction
from mmstan.registry import MODELS


@MODELS.register_module()
class Average(Interaction):
    """The mean of several interactions' similarities; in training each has a loss of its own.

    Args:
        parts: Configs of the interactions.

    Raises:
        ValueError: There are fewer than two.
    """

    def __init__(self, parts: Sequence[dict[str, Any]]) -> None:
        super().__init__()
        if len(parts) < 2:
            raise ValueError(f'parts={list(parts)}: a mean is of two interactions or more')
        self.parts = nn.ModuleList(MODELS.build(part) for part in parts)
        self.reads_text_tokens = any(part.reads_text_tokens for part in self.terms)
        self.reads_video_tokens = any(part.reads_video_tokens for part in self.terms)

    @property
    def terms(self) -> Sequence[Interaction]:
        """See :attr:`Interaction.terms`: the parts."""
        return [cast(Interaction, part) for part in self.parts]

    def forward(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """Similarities (A, B)."""
        return torch.stack([part(text, video) for part in self.parts]).mean(dim=0)
