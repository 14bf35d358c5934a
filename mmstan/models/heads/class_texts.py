"""Class names as features in the joint space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor
from typing_extensions import Self

from mmstan.models.heads.class_names import read_class_names
from mmstan.models.towers import TextFeatures, TextTower
from mmstan.registry import MODELS

_TEXTS_AT_ONCE = 256


class ClassTexts(BaseModule):
    """Features of K class names, computed once for as long as nothing can change them.

    They are kept while the text tower is frozen, or while evaluating without gradients, and
    dropped by ``train()``, ``eval()``, ``load_state_dict()`` and new names. The runner calls
    ``eval()`` after an EMA hook has swapped weights, so swapped weights are seen.

    Args:
        class_names: The names, or a file of them (:func:`read_class_names`).
        text_tower: Config of a text tower.
        templates: Sentences with a ``{}`` for the name. With several the normalised features are
            averaged (CLIP's prompt ensembling).
        tokens: Keep every token's features and not only the whole name's.

    Raises:
        ValueError: A template has no ``{}``, or there are several and ``tokens`` are wanted.
    """

    def __init__(
        self,
        class_names: str | Sequence[str],
        text_tower: dict[str, Any],
        *,
        templates: Sequence[str] = ('{}',),
        tokens: bool = False,
    ) -> None:
        super().__init__()
        wrong = [template for template in templates if '{}' not in template]
        if wrong or not templates:
            raise ValueError(f"templates={list(templates)}: each needs a '{{}}' for the class name")
        if tokens and len(templates) > 1:
            raise ValueError(
                f'templates={list(templates)}: tokens of several sentences cannot be averaged; '
                'give one template, or an interaction that reads whole sentences'
            )
        self.templates = tuple(templates)
        self.tokens = tokens
        self.tower: TextTower = MODELS.build(text_tower)
        # Of the inner module: it sees what is loaded into the whole model, and `init_weights` too.
        self.tower.text.register_load_state_dict_post_hook(self._drop)
        self.names = class_names

    @property
    def names(self) -> list[str]:
        """The class names, in class order; assign others, or a file, to classify into those."""
        return self._names

    @names.setter
    def names(self, names: str | Sequence[str]) -> None:
        self._names = read_class_names(names)
        texts = [template.format(name) for name in self._names for template in self.templates]
        ids = self.tower.tokenize(texts)
        if not self.tower.has_class_token:  # causal: what follows the longest text is not read
            ids = ids[:, : int(ids.argmax(dim=1).max()) + 1]
        self._ids = ids
        self._drop()

    def _drop(self, *_: Any) -> None:
        self._kept: TextFeatures | None = None

    def train(self, mode: bool = True) -> Self:
        """Drop what is kept: the mode changes when weights may have."""
        self._drop()
        return super().train(mode)

    def forward(self) -> TextFeatures:
        """The classes as texts, float32: J tokens each, or their L2-normalised sentence alone."""
        frozen = not any(p.requires_grad for p in self.tower.parameters())
        if not frozen and (self.training or torch.is_grad_enabled()):
            return self._encode(self._ids)
        device = self.tower.text.positional_embedding.device
        if self._kept is None or self._kept.sentence.device != device:
            with torch.no_grad(), torch.autocast(device.type, enabled=False):
                parts = [self._encode(ids) for ids in self._ids.split(self._chunk)]
            self._kept = TextFeatures(*(torch.cat(part) for part in zip(*parts)))
        return self._kept

    @property
    def _chunk(self) -> int:
        """Texts encoded at once, whole classes: a multiple of the number of templates."""
        return max(1, _TEXTS_AT_ONCE // len(self.templates)) * len(self.templates)

    def _encode(self, ids: Tensor) -> TextFeatures:
        text = self.tower(ids.to(self.tower.text.positional_embedding.device))
        if self.tokens:
            return TextFeatures(text.tokens.float(), text.sentence.float(), text.mask)
        features = F.normalize(text.sentence.float(), dim=-1)
        features = features.unflatten(0, (-1, len(self.templates))).mean(dim=1)  # (K, D)
        features = F.normalize(features, dim=-1)
        return TextFeatures(features[:, None], features, text.mask.new_ones(len(features), 1))
