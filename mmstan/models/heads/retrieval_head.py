"""Video-text retrieval: an interaction and its contrastive loss."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal

import torch
from mmengine.dist import get_world_size
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.models.interactions import Interaction
from mmstan.models.losses.contrastive import contrastive_loss, gather
from mmstan.registry import MODELS
from mmstan.wording import check_choice


@MODELS.register_module()
class RetrievalHead(BaseModule):
    """Similarities of texts and videos, and the contrastive loss of matching pairs.

    Args:
        interaction: Config of an interaction.
        scale: Factor on the similarities in training, 1 / temperature.
        trainable_scale: Learn the scale, as CLIP did (``logit_scale`` is its logarithm).
        max_scale: Bound of a trainable scale, 100 in CLIP.
        reduction: ``'sum'`` adds the losses of the two directions (STAN), ``'mean'`` halves each of
            them first (CLIP, CLIP4Clip).
        regulariser: Config of an extra loss of matching pairs (DRL's CDCR): a module that takes the
            interaction, texts and videos.
        gather_gb: Most GB of features that a process gathers from all processes.

    Raises:
        ValueError: ``max_scale`` without ``trainable_scale``, or a scale that is out of range.
    """

    def __init__(
        self,
        interaction: dict[str, Any],
        *,
        scale: float = 100.0,
        trainable_scale: bool = False,
        max_scale: float | None = None,
        reduction: Literal['sum', 'mean'] = 'sum',
        regulariser: dict[str, Any] | None = None,
        gather_gb: float = 8.0,
    ) -> None:
        super().__init__()
        if not 0 < scale <= (max_scale or math.inf):
            raise ValueError(f'scale={scale} must be above 0 and at most max_scale={max_scale}')
        if max_scale is not None and not trainable_scale:
            raise ValueError(f'max_scale={max_scale} bounds a scale that trainable_scale=True sets')
        check_choice('reduction', reduction, ('sum', 'mean'))
        self.interaction: Interaction = MODELS.build(interaction)
        self.regulariser = None if regulariser is None else MODELS.build(regulariser)
        self.reduction = reduction
        self.max_scale = max_scale
        self.gather_gb = gather_gb
        self._fixed = scale
        if trainable_scale:
            self.logit_scale = nn.Parameter(torch.tensor(math.log(scale)))

    @property
    def scale(self) -> float:
        """The factor on the similarities."""
        with torch.no_grad():
            return float(self._compute_scale())

    def _compute_scale(self) -> Tensor | float:
        return self.logit_scale.exp() if hasattr(self, 'logit_scale') else self._fixed

    def forward(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """Similarities (A, B), without the scale."""
        return self.interaction(text, video)

    def loss(self, text: TextFeatures, video: VideoFeatures) -> dict[str, Tensor]:
        """Losses of a process's n matching pairs; text i belongs to video i.

        Raises:
            ValueError: The numbers of texts and videos differ, or the features of all processes
                are larger than ``gather_gb``.
        """
        if len(text.sentence) != len(video.frames):
            raise ValueError(
                f'{len(text.sentence)} texts and {len(video.frames)} videos: in training each '
                "sample has one caption; set pairs='expand' or 'random' in the data set"
            )
        self._refuse_large_gathering(text, video)
        self.bound_scale()  # here, since a loss follows every optimiser step
        # Text i is right for video i: cross entropy over the rows, and over the columns.
        terms = self.interaction.terms
        pairs = [
            contrastive_loss(partial(self._score, term), text, video, reduction=self.reduction)
            for term in terms
        ]
        t2v, v2t = (torch.stack(losses).sum() / len(terms) for losses in zip(*pairs))
        losses = dict(loss_t2v=t2v, loss_v2t=v2t)
        if self.regulariser is not None:
            if get_world_size() > 1:  # its statistics are of the joined batch
                text, video = gather(text), gather(video)
            losses['loss_regulariser'] = self.regulariser(self.interaction, text, video)
        return losses

    def bound_scale(self) -> None:
        """Bring a learned scale above ``max_scale`` back to it."""
        if self.max_scale is not None:
            with torch.no_grad():
                self.logit_scale.clamp_(max=math.log(self.max_scale))

    def _refuse_large_gathering(self, text: TextFeatures, video: VideoFeatures) -> None:
        processes = get_world_size()
        own = sum(x.nbytes for x in (*text, *video) if x is not None)
        if processes > 1 and own * processes > self.gather_gb * 1e9:
            raise ValueError(
                f'{len(text.sentence)} pairs on each of {processes} processes have '
                f'{own * processes / 1e9:.1f} GB of features, and every process gathers all of '
                f'them; gather_gb={self.gather_gb:g} is the most: lower the batch size, let the '
                "interaction read frames (video='frames'), or raise head.gather_gb"
            )

    def logits(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """Scaled similarities (A, B)."""
        return self._score(self.interaction, text, video)

    def _score(self, interaction: Interaction, text: TextFeatures, video: VideoFeatures) -> Tensor:
        return self._compute_scale() * interaction(text, video)
