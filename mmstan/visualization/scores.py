"""The score of a clip that a map explains: how well it fits a text, or a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmstan.models.heads.named_classes_head import NamedClassesHead
from mmstan.wording import name_a_few


def pair_score(
    model: Any,
    clip: Tensor,
    text: str,
    *,
    against: str | None = None,
    data_samples: Sequence[Any] | None = None,
) -> Tensor:
    """Similarity of a text and a clip by a retrieval model's interaction, with a graph, ().

    Args:
        model: A :class:`~mmstan.models.VideoTextModel`.
        clip: Normalised frames (1, 3, T, H, W).
        text: The text.
        against: Another text, whose similarity is subtracted.
        data_samples: One sample, for its ``frame_mask``.
    """
    with torch.no_grad():  # texts do not depend on the clip
        texts = model.encode_texts([text] if against is None else [text, against])
    # Not `model.similarity`, which keeps no graph.
    return _subtract(model.head(texts, model.encode_videos(clip, data_samples=data_samples))[:, 0])


def class_score(
    model: Any,
    clip: Tensor,
    *,
    labels: Sequence[int] = (),
    text: str | None = None,
    against: str | None = None,
) -> Tensor:
    """Logit of a class, or of a text as a class, by a recognition model, with a graph, ().

    Args:
        model: MMAction2's ``Recognizer3D``.
        clip: Normalised frames (1, 3, T, H, W).
        labels: The class; of a head that answers several questions (a verb and a noun), a class
            for each of them, whose logits are added.
        text: In place of labels, a text for the head's text tower, in the head's templates.
        against: Another text, whose logit is subtracted.

    Raises:
        ValueError: The head has no text tower, or no such class.
    """
    head = model.cls_head
    if isinstance(head, NamedClassesHead):
        # These classes alone: a logit does not depend on the other names, which may be thousands.
        name = text if text is not None else head.class_names[check_labels(model, labels)[0]]
        features, _ = model.extract_feat(clip[:, None].contiguous(), stage='neck')
        with head.swap_names([name] if against is None else [name, against], head.templates):
            return _subtract(head(features)[0])
    for option, given in (('--text', text), ('--against', against)):
        if given is not None:
            name = type(head).__name__
            raise ValueError(f'{option} {given!r}: {name} reads no text; {ask_for_labels(model)}')
    labels = check_labels(model, labels)
    logits = _compute_logits(model, clip)
    return torch.stack([x[0, label] for x, label in zip(logits, labels)]).sum()


def _subtract(scores: Tensor) -> Tensor:
    """Scores (1,) or (2,) -> the first, less the second if there is one, ()."""
    return scores[0] if len(scores) == 1 else scores[0] - scores[1]


def _compute_logits(model: Any, clip: Tensor) -> tuple[Tensor, ...]:
    """Logits (1, K) of each question of a recognition model's head."""
    features, _ = model.extract_feat(clip[:, None].contiguous(), stage='neck')
    logits = model.cls_head(features)
    return logits if isinstance(logits, tuple) else (logits,)


def class_rank(model: Any, clip: Tensor, labels: Sequence[int]) -> tuple[int, ...]:
    """Place of each label among its head's classes for a clip (1, 3, T, H, W), 1 for the best."""
    with torch.no_grad():
        logits = _compute_logits(model, clip)
    return tuple(1 + int((x[0] > x[0, label]).sum()) for x, label in zip(logits, labels))


def count_classes(model: Any) -> list[int]:
    """Numbers of classes of a recognition model: one, or one for each question of its head."""
    head = model.cls_head
    heads = [head] if hasattr(head, 'num_classes') else list(head.children())
    return [part.num_classes for part in heads]


def check_labels(model: Any, labels: Sequence[int]) -> Sequence[int]:
    """The labels, if there is one for each question of the head.

    Raises:
        ValueError: They are too many or too few, or there is no such class.
    """
    counts = count_classes(model)
    if len(labels) == len(counts) and all(0 <= x < n for x, n in zip(labels, counts)):
        return labels
    given = ' '.join(map(str, labels)) or 'none'
    raise ValueError(f'--label: {given} given; {ask_for_labels(model)}')


def ask_for_labels(model: Any) -> str:
    """Write which labels a recognition model takes."""
    ranges = ' and '.join(f'0 to {count - 1}' for count in count_classes(model))
    names = getattr(model.cls_head, 'class_names', None)
    listed = f' ({name_a_few(names, most=12)})' if names else ''
    return f'give --label {ranges}{listed}'
