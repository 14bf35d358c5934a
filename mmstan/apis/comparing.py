"""Texts and class names, as functions from a model's features to scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mmstan.apis.encoding import (
    Batch,
    compare_texts,
    find_interaction,
    is_retrieval,
    predict_classes,
)
from mmstan.models.features import TextFeatures, l2_normalise
from mmstan.models.heads import NamedClassesHead, check_templates

Score = Callable[[Any, Batch], Tensor]
"""(features of :func:`~mmstan.apis.encoding.encode_videos`, batch) -> a row a video."""


def find_text_head(model: Any, wanted: str) -> NamedClassesHead:
    """The head of a recognizer, which compares videos with texts.

    Raises:
        ValueError: The head has no text tower.
    """
    head = model.cls_head
    if not hasattr(head, 'swap_names'):  # NamedClassesHead, and the head of an ONNX file
        raise ValueError(
            f'a {type(head).__name__} knows its own classes only, and no {wanted}; take a config '
            'with mmstan.TextHead, or a retrieval config'
        )
    return head


@torch.no_grad()
def encode_texts(model: Any, texts: Sequence[str]) -> TextFeatures:
    """Features of texts in float32, as a retrieval model's interaction reads them.

    Raises:
        ValueError: The model has no text tower.
    """
    if is_retrieval(model):
        return model.encode_texts(texts)
    return find_text_head(model, 'texts').encode_texts(texts)


@contextmanager
def score_classes(
    model: Any, names: Sequence[str] | None, templates: Sequence[str] | None = None
) -> Iterator[Score]:
    """Within, a function from features to probabilities (N, K).

    Args:
        model: The model.
        names: Names of K classes; None for a recognizer's own.
        templates: Sentences with a ``{}`` for the name; None for a recognizer's own, and for the
            names alone with a retrieval model.

    Raises:
        ValueError: A recognizer without texts is asked for other names, or the templates do not
            fit the interaction.
    """
    predict = partial(predict_classes, model)
    if is_retrieval(model):
        text, scale = _encode_classes(model, names or (), templates or ('{}',)), model.head.scale
        yield lambda x, batch: (scale * compare_texts(model, text, x, batch)).softmax(dim=-1)
    elif names is None:
        yield predict
    else:
        head = find_text_head(model, 'others')
        with head.swap_names(names, head.templates if templates is None else templates):
            yield predict


@contextmanager
def score_texts(model: Any, texts: Sequence[str]) -> Iterator[Score]:
    """Within, a function from features to similarities (N, A) with texts.

    Raises:
        ValueError: The model has no text tower.
    """
    if is_retrieval(model):
        yield partial(compare_texts, model, encode_texts(model, texts))
    else:
        with find_text_head(model, 'texts').swap_names(texts):
            yield partial(compare_texts, model, None)


def _encode_classes(model: Any, names: Sequence[str], templates: Sequence[str]) -> TextFeatures:
    """Names in templates; sentences of several templates are averaged, as CLIP does."""
    if isinstance(names, str) or not names:
        raise ValueError(f'class_names={names!r}: give a list of names')
    check_templates(templates)
    sets = [encode_texts(model, [t.format(name) for name in names]) for t in templates]
    if len(sets) == 1:
        return sets[0]
    interaction = find_interaction(model)
    if interaction.reads_text_tokens:
        raise ValueError(
            f'templates={list(templates)}: {type(interaction).__name__} compares words, which '
            'cannot be averaged over templates; give one'
        )
    sentence = torch.stack([l2_normalise(text.sentence) for text in sets]).mean(dim=0)
    return TextFeatures(sentence[:, None], sentence, sets[0].mask[:, :1])


def list_texts(texts: Any) -> list[str]:
    """Texts as a list, also of one.

    Raises:
        ValueError: There is none, or one of them is no text.
    """
    if isinstance(texts, str):
        return [texts]
    texts = list(texts)
    wrong = next((text for text in texts if not isinstance(text, str)), None)
    if not texts or wrong is not None:
        raise ValueError(f'texts: {wrong!r} is no text; give one str or more')
    return texts
