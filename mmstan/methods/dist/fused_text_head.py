"""Average of the scores of a video model and of plain CLIP, for zero-shot tests."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mmstan.models.heads.text_head import TextHead
from mmstan.registry import MODELS


@MODELS.register_module()
class FusedTextHead(TextHead):
    """:class:`TextHead` for a backbone that also returns its frozen tower's frame features.

    The scores of the video are averaged with the mean of the frames' scores, as DiST's released
    code does in zero-shot tests; the paper does not mention it. The head adds no weights, so a
    checkpoint that was trained with ``TextHead`` fits. Takes the arguments of ``TextHead`` and

    Args:
        frame_weight: Share of the frames' scores.
        kwargs: Arguments of :class:`TextHead`.

    Raises:
        ValueError: ``frame_weight`` is not in [0, 1].
    """

    def __init__(self, *args: Any, frame_weight: float = 0.5, **kwargs: Any) -> None:
        if not 0 <= frame_weight <= 1:
            raise ValueError(f'frame_weight={frame_weight} must lie in [0, 1]')
        super().__init__(*args, **kwargs)
        self.frame_weight = frame_weight

    def forward(self, x: Any, **kwargs: Any) -> Tensor:
        """Video features (N, D) with frame features (N, T, D) -> scores (N, K), float32.

        Raises:
            ValueError: ``x`` is not a pair, or a part of it has another shape.
        """
        if not isinstance(x, (tuple, list)) or len(x) != 2:
            raise ValueError(
                'FusedTextHead takes the features of videos and of frames, got '
                f'{type(x).__name__}; let the backbone give both, or take mmstan.TextHead'
            )
        video, frames = x
        of_frames = super().forward(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        weight = self.frame_weight
        return (1 - weight) * super().forward(video) + weight * of_frames.mean(dim=1)
