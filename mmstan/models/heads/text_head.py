"""Recognition by the names of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Unpack

from mmstan.models.features import TextFeatures, VideoFeatures, need_one
from mmstan.models.heads.class_texts import ClassTexts
from mmstan.models.heads.named_classes_head import HeadOptions, NamedClassesHead
from mmstan.models.interactions import Interaction
from mmstan.registry import MODELS


@MODELS.register_module()
class TextHead(NamedClassesHead):
    """Scores of K classes: scaled similarity of a video and the names of the classes.

    Without an interaction the similarity is the cosine of the video's and the name's features. With
    an interaction, frames and names guide one another (Mug-STAN Eq. 20), and the model has no neck.

    Args:
        class_names: The names, or a file of them (``.txt``, ``.csv``, ``.json``).
        text_tower: Config of a text tower, of the same joint space as the backbone's.
        interaction: Config of an interaction between the names and the frames.
        templates: Sentences with a ``{}`` for the name; several are averaged.
        sample_template: One template at random in each training step, the mean of all templates'
            scores at test (X-CLIP, Table 9).
        context_vectors: Number of vectors before the name, learned in the place of words (CoOp).
        logit_scale: Factor on the similarity, 1 / temperature.
        options: ``num_classes``, ``average_clips``, ``label_smooth_eps``, ``loss_cls`` and
            ``topk`` of :class:`NamedClassesHead`.

    Raises:
        ValueError: ``num_classes`` is not the number of names, the options of the texts contradict
            each other or the interaction, or the interaction reads patches.
    """

    def __init__(
        self,
        class_names: str | Sequence[str],
        text_tower: dict[str, Any],
        *,
        interaction: dict[str, Any] | None = None,
        templates: Sequence[str] = ('{}',),
        sample_template: bool = False,
        context_vectors: int = 0,
        logit_scale: float = 100.0,
        **options: Unpack[HeadOptions],
    ) -> None:
        built: Interaction | None = None if interaction is None else MODELS.build(interaction)
        tokens = built is not None and built.reads_text_tokens
        if built is not None and sample_template:
            raise ValueError(
                f'sample_template=True averages scores, but interaction={interaction} normalises '
                'the texts again; leave one of the two out'
            )
        texts = ClassTexts(
            class_names,
            text_tower,
            templates=templates,
            sample_template=sample_template,
            context_vectors=context_vectors,
            tokens=tokens,
        )
        super().__init__(class_names, texts, **options)
        if built is not None and built.reads_video_tokens:
            raise ValueError(f'interaction={interaction}: recognition has frames, but no patches')
        self.interaction = built
        self.logit_scale = logit_scale

    @property
    def scale(self) -> float:
        """The factor on the similarities."""
        return self.logit_scale

    def forward(self, x: Tensor, **kwargs: Any) -> Tensor:
        """Video features (N, D), or frames (N, T, D) for an interaction -> scores (N, K), float32.

        Args:
            x: Features of any precision.
            **kwargs: Passed by MMAction2's recognizers; not read.

        Raises:
            ValueError: ``x`` has a time axis and there is no interaction, or the other way round;
                or ``x`` has another width than the text tower's; or ``x`` is a pair.
        """
        x = need_one(x, type(self).__name__)
        wanted = (
            ('N', self.in_channels) if self.interaction is None else ('N', 'T', self.in_channels)
        )
        if x.ndim != len(wanted) or x.shape[-1] != self.in_channels:
            raise ValueError(
                f'TextHead takes features ({", ".join(map(str, wanted))}), got {tuple(x.shape)}; '
                "frame features (N, T, D) need neck=dict(type='mmstan.MeanPool') or an "
                'interaction, and both towers the same joint space'
            )
        return self.compare(x, self.texts())  # K class names

    def compare(self, x: Tensor, texts: TextFeatures) -> Tensor:
        """Videos (N, D) or (N, T, D), K texts -> scaled similarities (N, K), float32."""
        # An interaction compares frames with names, (K, N); the recognizer wants (N, K).
        if self.interaction is not None:
            mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
            return self.logit_scale * self.interaction(texts, VideoFeatures(x, mask)).T
        with torch.autocast(x.device.type, enabled=False):  # cosines x 100 do not bear bf16
            return self.logit_scale * F.normalize(x.float(), dim=-1) @ texts.sentence.T
