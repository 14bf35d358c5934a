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
from mmstan.models.towers import TextTower
from mmstan.registry import MODELS

_TEXTS_AT_ONCE = 256


class ClassTexts(BaseModule):
    """Features (K, D) of K class names, computed once for as long as nothing can change them.

    They are kept while the text tower is frozen, or while evaluating without gradients, and
    dropped by ``train()``, ``eval()``, ``load_state_dict()`` and new names. The runner calls
    ``eval()`` after an EMA hook has swapped weights, so swapped weights are seen.

    Args:
        class_names: The names, or a file of them (:func:`read_class_names`).
        text_tower: Config of a text tower.
        templates: Sentences with a ``{}`` for the name. With several the normalised features are
            averaged (CLIP's prompt ensembling).
    """

    def __init__(
        self,
        class_names: str | Sequence[str],
        text_tower: dict[str, Any],
        *,
        templates: Sequence[str] = ('{}',),
    ) -> None:
        super().__init__()
        wrong = [template for template in templates if '{}' not in template]
        if wrong or not templates:
            raise ValueError(f"templates={list(templates)}: each needs a '{{}}' for the class name")
        self.templates = tuple(templates)
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
        self._kept: Tensor | None = None

    def train(self, mode: bool = True) -> Self:
        """Drop what is kept: the mode changes when weights may have."""
        self._drop()
        return super().train(mode)

    def forward(self) -> Tensor:
        """Features of the classes (K, D), L2-normalised float32."""
        frozen = not any(p.requires_grad for p in self.tower.parameters())
        if not frozen and (self.training or torch.is_grad_enabled()):
            return self._encode(self._ids)
        device = self.tower.text.positional_embedding.device
        if self._kept is None or self._kept.device != device:
            with torch.no_grad(), torch.autocast(device.type, enabled=False):
                parts = [self._encode(ids) for ids in self._ids.split(self._chunk)]
            self._kept = torch.cat(parts)
        return self._kept

    @property
    def _chunk(self) -> int:
        """Texts encoded at once, whole classes: a multiple of the number of templates."""
        return max(1, _TEXTS_AT_ONCE // len(self.templates)) * len(self.templates)

    def _encode(self, ids: Tensor) -> Tensor:
        sentence = self.tower(ids.to(self.tower.text.positional_embedding.device)).sentence
        features = F.normalize(sentence.float(), dim=-1)
        features = features.unflatten(0, (-1, len(self.templates))).mean(dim=1)  # (K, D)
        return F.normalize(features, dim=-1)
