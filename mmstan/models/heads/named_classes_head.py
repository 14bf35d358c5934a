"""The base of heads whose classes have names."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypedDict

from mmaction.models.heads import BaseHead

from mmstan.models.features import TextFeatures
from mmstan.models.heads.class_texts import ClassTexts


class HeadOptions(TypedDict, total=False):
    """Options that every head over class names takes, see :class:`NamedClassesHead`."""

    num_classes: int | None
    average_clips: Literal['prob', 'score']
    label_smooth_eps: float
    loss_cls: dict[str, Any] | None
    topk: tuple[int, ...]


class NamedClassesHead(BaseHead):
    """A head whose K classes have names, which can be changed for zero-shot.

    Args:
        class_names: The names, or a file of names, for the error message.
        texts: Features of the names.
        num_classes: K, checked against the number of names, which is the default.
        average_clips: Whether the views of a video are averaged after the softmax (``'prob'``) or
            before (``'score'``), at test.
        label_smooth_eps: Label smoothing.
        loss_cls: Config of the loss; cross entropy by default.
        topk: Accuracies that are logged in training; a k above K is left out.

    Raises:
        ValueError: ``num_classes`` is not the number of names.
    """

    def __init__(
        self,
        class_names: str | Sequence[str],
        texts: ClassTexts,
        *,
        num_classes: int | None = None,
        average_clips: Literal['prob', 'score'] = 'prob',
        label_smooth_eps: float = 0.0,
        loss_cls: dict[str, Any] | None = None,
        topk: tuple[int, ...] = (1, 5),
    ) -> None:
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

    @property
    def class_names(self) -> list[str]:
        """The class names, in class order. Assign other names, or a file, for zero-shot."""
        return self.texts.names

    @class_names.setter
    def class_names(self, names: str | Sequence[str]) -> None:
        self.texts.names = names
        self.num_classes = len(self.texts.names)

    @property
    def templates(self) -> Sequence[str]:
        """Sentences with a ``{}`` for the name of a class."""
        return self.texts.templates

    @contextmanager
    def swap_names(
        self, texts: Sequence[str], templates: Sequence[str] = ('{}',)
    ) -> Iterator[None]:
        """Within, the classes are other texts; see :meth:`ClassTexts.swap_names`."""
        before = self.num_classes
        with self.texts.swap_names(texts, templates):
            self.num_classes = len(texts)
            try:
                yield
            finally:
                self.num_classes = before

    def encode_texts(self, texts: Sequence[str]) -> TextFeatures:
        """Features of any texts, not normalised, with every token."""
        tower = self.texts.tower
        return tower(tower.tokenize(texts).to(tower.text.positional_embedding.device))

    @property
    @abstractmethod
    def scale(self) -> float:
        """The factor on the similarities, 1 / temperature."""
