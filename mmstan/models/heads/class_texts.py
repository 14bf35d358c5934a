"""Class names as features in the joint space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn
from typing_extensions import Self

from mmstan.models.features import TextFeatures
from mmstan.models.heads.class_names import read_class_names, refuse_equal_texts
from mmstan.models.towers import TextTower
from mmstan.registry import MODELS
from mmstan.wording import show

_TEXTS_AT_ONCE = 256
_Swapped = tuple[list[str], tuple[str, ...], Tensor, dict[int | None, TextFeatures]]


class ClassTexts(BaseModule):
    """Features of K class names, computed once and kept while nothing can change them.

    They are kept while no parameter in here learns, or while evaluating without gradients.
    ``train()``, ``eval()``, ``load_state_dict()`` and new names drop them. The runner calls
    ``eval()`` after an EMA hook has swapped weights, so features of the swapped weights are used.

    Args:
        class_names: The names, or a file of them (:func:`read_class_names`).
        text_tower: Config of a text tower.
        templates: Sentences with a ``{}`` for the name. The normalised features of several ones are
            averaged (CLIP's prompt ensembling).
        sample_template: Each training step takes one template at random. At test the scores are
            averaged (X-CLIP, Table 9): the mean feature is not normalised again.
        context_vectors: Number of vectors before the sentence that are learned in the place of
            words (CoOp, arXiv 2109.01134). All classes share them; they learn through a frozen
            tower too.
        tokens: Keep the features of every token, not only the whole name's.

    Raises:
        ValueError: Two names are one text, a template has no ``{}``, there are several where one is
            needed, there is one where several are needed, or the context leaves no room for names.
    """

    _kept: dict[int | None, TextFeatures]  # by the template that was drawn
    _swapped: _Swapped | None  # of the last swap, while its features hold
    _kept_of: list[tuple[int, int]] | None  # of training: the weights behind the kept features

    def __init__(
        self,
        class_names: str | Sequence[str],
        text_tower: dict[str, Any],
        *,
        templates: Sequence[str] = ('{}',),
        sample_template: bool = False,
        context_vectors: int = 0,
        tokens: bool = False,
    ) -> None:
        super().__init__()
        _check_templates(templates, sample_template, context_vectors, tokens)
        self.templates = tuple(templates)
        self.sample_template = sample_template
        self.tokens = tokens
        self.tower: TextTower = MODELS.build(text_tower)
        if not 0 <= context_vectors <= self.tower.context_length - 3:
            raise ValueError(
                f'context_vectors={context_vectors}: 0 to {self.tower.context_length - 3}, since '
                f'a text has {self.tower.context_length} tokens, of which start, end and a name '
                'need three'
            )
        if context_vectors:
            self.context_embedding = nn.Parameter(torch.empty(context_vectors, self.tower.width))
            nn.init.normal_(self.context_embedding, std=0.02)  # CoOp's
        self.context_vectors = context_vectors
        # The hook is on the inner module, which both `load_state_dict` of the whole model and
        # `init_weights` of the tower load into.
        self.tower.text.register_load_state_dict_post_hook(self._drop)
        self.names = class_names

    @property
    def names(self) -> list[str]:
        """The class names, in class order. Assign other names, or a file, to change the classes."""
        return self._names

    @names.setter
    def names(self, names: str | Sequence[str]) -> None:
        read = read_class_names(names)
        refuse_equal_texts(read)
        self._set_names(read)

    def _set_names(self, names: list[str]) -> None:
        self._names = names
        context = 'x ' * self.context_vectors  # a token each, to be replaced
        texts = [f'{context}{t.format(name)}' for name in self._names for t in self.templates]
        ids = self.tower.tokenize(texts)
        if not self.tower.has_class_token:  # causal: rows after the longest text are not read
            ids = ids[:, : int(ids.argmax(dim=1).max()) + 1]
        self._ids = ids
        self._drop()

    @contextmanager
    def swap_names(
        self, texts: Sequence[str], templates: Sequence[str] = ('{}',)
    ) -> Iterator[None]:
        """Within, the classes are other texts, of any form, in other templates.

        One template is enough for ``sample_template``, too: the mean of one.

        Raises:
            ValueError: There is no text, or the templates do not fit.
        """
        if not texts or isinstance(texts, str):
            raise ValueError(f'{texts!r}: give a list of texts, one a class')
        _check_templates(templates, False, self.context_vectors, self.tokens)
        before = self._names, self.templates, self._ids
        try:
            self.templates = tuple(templates)
            if self._swapped is not None and self._swapped[:2] == (list(texts), self.templates):
                self._names, _, self._ids, self._kept = self._swapped  # a stream swaps every piece
            else:
                self._set_names(list(texts))
            yield
            swapped = self._names, self.templates, self._ids, self._kept
        finally:
            self._names, self.templates, self._ids = before
            self._drop()
        self._swapped = swapped

    def _drop(self, *_: Any) -> None:
        self._kept, self._swapped, self._kept_of = {}, None, None

    def train(self, mode: bool = True) -> Self:
        """Drop the kept features: weights may have changed before a change of mode.

        MMEngine's ``IterBasedTrainLoop`` calls this at every step. From training to training the
        features stay, unless a weight was written since.
        """
        stays = mode and self.training and self._kept_of is not None
        if not stays or self._kept_of != self._count_writes():
            self._drop()
        return super().train(mode)

    def _count_writes(self) -> list[tuple[int, int]]:
        # The counters do not see writes through `.data`, such as the swaps of an EMA hook; the mode
        # changes around these.
        return [(id(p), p._version) for p in self.parameters()]

    def forward(self) -> TextFeatures:
        """Features of the K classes, float32.

        With ``tokens`` the J tokens of every class; else one L2-normalised sentence a class. With
        ``sample_template`` each call in training mode draws a template again.
        """
        count, drawn = len(self.templates), None
        ids = self._ids
        if self.sample_template and self.training:
            drawn = int(torch.randint(count, ()))
            ids, count = ids[drawn::count], 1
        # Nothing is kept while a step may change it: the features belong to that step's graph.
        learns = any(p.requires_grad for p in self.parameters())
        if learns and (self.training or torch.is_grad_enabled()):
            return self._encode(ids, count)
        kept, device = self._kept.get(drawn), self.tower.text.positional_embedding.device
        if kept is None or kept.sentence.device != device:
            # Parts of whole classes: `_encode` averages over a class's templates.
            whole_classes = max(1, _TEXTS_AT_ONCE // count) * count
            with torch.no_grad(), torch.autocast(device.type, enabled=False):
                parts = [self._encode(part, count) for part in ids.split(whole_classes)]
            kept = TextFeatures(*(torch.cat(part) for part in zip(*parts)))
            if self.training and self._kept_of is None:  # tensors of inference mode do not count
                self._kept_of = self._count_writes()
            self._kept[drawn] = kept
        return kept

    def draw(self, classes: Tensor) -> TextFeatures:
        """The names of ``classes`` (n,), each in a template at random; nothing is kept."""
        count = len(self.templates)
        drawn = torch.randint(count, classes.shape)
        return self._encode(self._ids[classes.cpu() * count + drawn], 1)

    def _encode(self, ids: Tensor, templates: int) -> TextFeatures:
        """Features of texts (M, J); the ``templates`` texts of a class follow one another."""
        text = self._read(ids.to(self.tower.text.positional_embedding.device))
        if self.tokens:
            return TextFeatures(text.tokens.float(), text.sentence.float(), text.mask)
        features = F.normalize(text.sentence.float(), dim=-1)
        features = features.unflatten(0, (-1, templates)).mean(dim=1)  # (K, D)
        if not self.sample_template:
            features = F.normalize(features, dim=-1)
        return TextFeatures(features[:, None], features, text.mask.new_ones(features.shape[0], 1))

    def _read(self, ids: Tensor) -> TextFeatures:
        """Run the tower, with the learned context in the place of the first words."""
        if not self.context_vectors:
            return self.tower(ids)
        x, attn_mask = self.tower.embed(ids)  # (M, J, C): start, context, sentence
        end = 1 + self.context_vectors
        context = self.context_embedding + self.tower.text.positional_embedding[1:end]
        context = context.to(x.dtype).expand(x.shape[0], -1, -1)
        x = torch.cat([x[:, :1], context, x[:, end:]], dim=1)
        return self.tower.encode(x, attn_mask, ids)


def check_templates(templates: Sequence[str]) -> None:
    """Raise ValueError unless templates are sentences with a ``{}`` for the class name."""
    if isinstance(templates, str):
        raise ValueError(f'templates={show(templates)}: give a list of sentences, not one text')
    if not templates or not all(map(_takes_a_name, templates)):
        raise ValueError(
            f"templates={list(templates)}: each needs a '{{}}' for the class name, and no other "
            'braces'
        )


def _takes_a_name(template: str) -> bool:
    try:
        return '{}' in template and bool(template.format('a name'))
    except (IndexError, KeyError, ValueError):
        return False


def _check_templates(
    templates: Sequence[str], sample_template: bool, context_vectors: int, tokens: bool
) -> None:
    """Raise the errors that the docstring of :class:`ClassTexts` names."""
    check_templates(templates)
    given = f'templates={list(templates)}'
    if tokens and len(templates) > 1:
        raise ValueError(
            f'{given}: tokens of several sentences cannot be averaged; give one template, or an '
            'interaction that reads whole sentences'
        )
    if context_vectors and len(templates) > 1:
        raise ValueError(
            f'{given}: context_vectors={context_vectors} are learned in their place; give one'
        )
    if sample_template and len(templates) == 1:
        raise ValueError(f'{given}: sample_template=True draws one of several; give more')
