"""Recognition by the names of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from mmaction.models.heads import BaseHead
from torch import Tensor

from mmstan.models.heads.class_texts import ClassTexts
from mmstan.registry import MODELS


@MODELS.register_module()
class TextHead(BaseHead):
    """Scores of K classes: scaled cosine between a video and the names of the classes.

    Args:
        class_names: The names, or a file of them (``.txt``, ``.csv``, ``.json``).
        text_tower: Config of a text tower, of the same joint space as the backbone's.
        templates: Sentences with a ``{}`` for the name; several are averaged.
        logit_scale: Factor on the cosine, 1 / temperature.
        num_classes: K, to be checked against the names; their number by default.
        average_clips: How the views of a video are averaged at test: of the softmax, or of the
            scores.
        label_smooth_eps: Label smoothing.
        loss_cls: Config of the loss.
        topk: Training accuracies that are logged; those above K are left out.

    Raises:
        ValueError: ``num_classes`` is not the number of names.
    """

    def __init__(
        self,
        class_names: str | Sequence[str],
        text_tower: dict[str, Any],
        *,
        templates: Sequence[str] = ('{}',),
        logit_scale: float = 100.0,
        num_classes: int | None = None,
        average_clips: Literal['prob', 'score'] = 'prob',
        label_smooth_eps: float = 0.0,
        loss_cls: dict[str, Any] | None = None,
        topk: tuple[int, ...] = (1, 5),
    ) -> None:
        texts = ClassTexts(class_names, text_tower, templates=templates)
        names = len(texts.names)
        if num_classes not in (None, names):
            raise ValueError(
                f'num_classes={num_classes}, but class_names={class_names!r} has {names} names; '
                'make them agree, or leave num_classes out'
            )
        super().__init__(
            names,
            texts.tower.joint_dim,
            loss_cls=loss_cls or dict(type='mmaction.CrossEntropyLoss'),
            average_clips=average_clips,
            label_smooth_eps=label_smooth_eps,
            topk=tuple(k for k in topk if k <= names),
        )
        self.texts = texts
        self.logit_scale = logit_scale

    @property
    def class_names(self) -> list[str]:
        """The class names, in class order; assign others, or a file, for zero-shot."""
        return self.texts.names

    @class_names.setter
    def class_names(self, names: str | Sequence[str]) -> None:
        self.texts.names = names
        self.num_classes = len(self.texts.names)

    def forward(self, x: Tensor, **kwargs: Any) -> Tensor:
        """Video features (N, D) -> float32 class scores (N, K).

        Args:
            x: Features of whole videos, any precision.
            **kwargs: What MMAction2's recognizers pass along; not read.

        Raises:
            ValueError: ``x`` still has a time axis, or another width than the text tower's.
        """
        if x.ndim != 2 or x.shape[1] != self.in_channels:
            raise ValueError(
                f'TextHead takes video features (N, {self.in_channels}), got {tuple(x.shape)}; '
                "frame features (N, T, D) need neck=dict(type='mmstan.MeanPool'), and both towers "
                'the same joint space'
            )
        texts = self.texts()  # (K, D)
        with torch.autocast(x.device.type, enabled=False):  # cosines x 100 do not bear bf16
            return self.logit_scale * F.normalize(x.float(), dim=-1) @ texts.T
