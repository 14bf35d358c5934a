"""X-CLIP's head: recognition by class names that each video prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from mmstan.methods.xclip.video_prompting import VideoPrompting
from mmstan.models.heads.class_texts import ClassTexts
from mmstan.models.heads.named_classes_head import HeadOptions, NamedClassesHead
from mmstan.registry import MODELS


@MODELS.register_module()
class PromptedTextHead(NamedClassesHead):
    """Scores of K classes: scaled cosine of a video and the class names it has prompted (X-CLIP).

    Args:
        class_names: The names, or a file of them (``.txt``, ``.csv``, ``.json``).
        text_tower: Config of a text tower, of the same joint space as the backbone's. Frozen
            unless it says ``frozen=False``; a frozen tower encodes the names once.
        layers: Layers of the prompting.
        heads: Attention heads of a layer, D / 64 by default.
        alpha: Initial value of the factors on the prompts.
        logit_scale: Factor on the cosine, 1 / temperature. Its logarithm is a parameter, trained if
            the text tower is.
        options: ``num_classes``, ``average_clips``, ``label_smooth_eps``, ``loss_cls`` and
            ``topk`` of :class:`NamedClassesHead`.

    Raises:
        ValueError: ``num_classes`` is not the number of names, or ``heads`` do not divide D.
    """

    def __init__(
        self,
        class_names: str | Sequence[str],
        text_tower: dict[str, Any],
        *,
        layers: int = 2,
        heads: int | None = None,
        alpha: float = 0.1,
        logit_scale: float = 100.0,
        **options: Unpack[HeadOptions],
    ) -> None:
        # With `tokens` the sentences are not normalised: the prompts are added before the norm.
        texts = ClassTexts(
            class_names, dict(text_tower, frozen=text_tower.get('frozen', True)), tokens=True
        )
        width = texts.tower.joint_dim
        heads = max(1, width // 64) if heads is None else heads
        if heads < 1 or width % heads:
            raise ValueError(f'heads={heads} must divide the joint space, {width} wide')
        super().__init__(class_names, texts, **options)
        self.prompting = VideoPrompting(width, heads=heads, layers=layers, alpha=alpha)
        self.logit_scale = nn.Parameter(
            torch.tensor(math.log(logit_scale)), requires_grad=not texts.tower.frozen
        )

    @property
    def scale(self) -> float:
        """The factor on the cosines."""
        return float(self.logit_scale.detach().exp())

    def forward(self, x: tuple[Tensor, Tensor], **kwargs: Any) -> Tensor:
        """Videos (N, D) and their visual context (N, L, D) -> scores (N, K), float32.

        Args:
            x: Features of any precision.
            **kwargs: Passed by MMAction2's recognizers; not read.

        Raises:
            ValueError: ``x`` is something else, or has another width than the text tower's.
        """
        video, context = self._check(x)
        # exp(logit_scale) <v, c> / (|v| |c|), with the prompted names c of each video.
        return self.logit_scale.exp() * self.prompting(self.texts().sentence, video, context)

    def _check(self, x: Any) -> tuple[Tensor, Tensor]:
        parts = x if isinstance(x, (tuple, list)) else (x,)
        d = self.in_channels
        if [part.ndim for part in parts] != [2, 3] or any(part.shape[-1] != d for part in parts):
            shapes = [tuple(part.shape) for part in parts]
            raise ValueError(
                f'PromptedTextHead takes a video (N, {d}) and its context (N, L, {d}), got '
                f"{', '.join(map(str, shapes))}; they come from backbone=dict(type='mmstan.XCLIP') "
                "and neck=dict(type='mmstan.MultiFrameIntegration'), with towers of one joint space"
            )
        return parts[0], parts[1]
