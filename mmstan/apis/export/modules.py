"""Parts of a model as modules from tensors to tensors, which :mod:`torch.export` can follow.

Letters: N videos, T frames, A texts of J tokens, D joint space, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mmstan.apis.encoding import is_retrieval
from mmstan.models.features import TextFeatures, VideoFeatures, frame_mask, l2_normalise
from mmstan.models.heads import NamedClassesHead


class Normalise(nn.Module):
    """Raw frames (N, 3, T, H, W), uint8 or float -> normalised, as the model's preprocessor does.

    Args:
        preprocessor: MMAction2's ``ActionDataPreprocessor``.
        dtype: Type of the frames behind it; the arithmetic is in float32.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, preprocessor: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.to_rgb = bool(getattr(preprocessor, 'to_rgb', False))
        mean, std = getattr(preprocessor, 'mean', None), getattr(preprocessor, 'std', None)
        ones = torch.ones(3)
        # (3, 1, 1, 1), whichever shape the preprocessor's format has.
        mean = (0 * ones if mean is None else mean.detach().cpu().float()).reshape(3, 1, 1, 1)
        std = (ones if std is None else std.detach().cpu().float()).reshape(3, 1, 1, 1)
        self.register_buffer('mean', mean)
        self.register_buffer('std', std)

    def forward(self, frames: Tensor) -> Tensor:
        """Raw frames -> normalised frames of the same shape."""
        x = frames.float()
        if self.to_rgb:
            x = x.flip(1)
        return ((x - self.mean) / self.std).to(self.dtype)


class RecognitionVideo(nn.Module):
    """Frames -> features behind the neck, and with ``scores`` the head's scores (N, K).

    Args:
        model: A recognizer.
        scores: Whether the head is a part of it.
    """

    def __init__(self, model: Any, *, scores: bool) -> None:
        super().__init__()
        self.normalise = Normalise(model.data_preprocessor, find_dtype(model))
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else None
        self.head = model.cls_head if scores else None

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Raw frames (N, 3, T, H, W) -> features, a tensor or several, and then scores."""
        x = self.backbone(self.normalise(frames))
        if self.neck is not None:
            x, _ = self.neck(x)
        found = list_tensors(x)
        if self.head is not None:
            found += list_tensors(self.head(x))
        return tuple(y.float() for y in found)


class RetrievalVideo(nn.Module):
    """Frames -> the features that the interaction reads.

    Args:
        model: A :class:`~mmstan.models.VideoTextModel`.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.normalise = Normalise(model.data_preprocessor, find_dtype(model))
        self.model = model

    def forward(self, frames: Tensor, frame_mask: Tensor | None = None) -> tuple[Tensor, ...]:
        """Raw frames (N, 3, T, H, W) and the mask (N, T), which a neck reads -> (N, T, D).

        Where an interaction reads all tokens, they follow: (N, T * (1 + L), D).
        """
        video = self.model.encode_videos(self.normalise(frames), data_samples=frame_mask)
        found = (video.frames,) if video.tokens is None else (video.frames, video.tokens)
        return tuple(y.float() for y in found)


class Text(nn.Module):
    """Token ids (A, J) -> tokens (A, J, D), sentence (A, D), mask (A, J).

    Args:
        model: A retrieval model, or a recognizer whose head compares with class names.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        retrieval = is_retrieval(model)
        self.tower = model.text_tower if retrieval else model.cls_head.texts.tower
        # An interaction of sentences gets the sentences in the place of the tokens, (A, 1, D).
        self.sentences = retrieval and not model.head.interaction.reads_text_tokens

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Token ids -> features, not normalised."""
        text = self.tower(ids)
        sentence = text.sentence.float()
        if self.sentences:
            return sentence[:, None], sentence, text.mask[:, :1]
        return text.tokens.float(), sentence, text.mask


class RetrievalScores(nn.Module):
    """Features of A texts and N videos -> similarities (A, N), without a scale."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.interaction = model.head.interaction

    def forward(
        self,
        tokens: Tensor,
        sentence: Tensor,
        text_mask: Tensor,
        features: Tensor,
        frame_mask: Tensor,
        video_tokens: Tensor | None = None,
    ) -> Tensor:
        """What the text part and the video part give, and the mask of the frames (N, T)."""
        text = TextFeatures(tokens, sentence, text_mask)
        return self.interaction(text, VideoFeatures(features, frame_mask, video_tokens)).float()


class RecognitionScores(nn.Module):
    """The head of a recognizer with A texts in the place of its classes: (A, N), without a scale.

    Args:
        head: The head; :func:`replace_texts` has given it ``texts``.
        texts: What the head asks for the features of its classes.
    """

    def __init__(self, head: NamedClassesHead, texts: GivenTexts) -> None:
        super().__init__()
        self.head, self.texts = head, texts
        self.scale = head.scale  # a number, where it is learned too

    def forward(
        self, tokens: Tensor, sentence: Tensor, text_mask: Tensor, *features: Tensor
    ) -> Tensor:
        """What the text part gives, and the features that the video part gives."""
        with self.texts.give(TextFeatures(tokens, sentence, text_mask)):
            scores = self.head(features[0] if len(features) == 1 else features)
        return (scores / self.scale).T


class GivenTexts(nn.Module):
    """Features of texts in the place of a head's :class:`~mmstan.models.heads.ClassTexts`.

    Args:
        tokens: Whether the head reads tokens; else it reads unit sentences.
        text: The features; :meth:`give` sets others for a while.
    """

    def __init__(self, *, tokens: bool, text: TextFeatures | None = None) -> None:
        super().__init__()
        self.tokens, self.text = tokens, text

    @contextmanager
    def give(self, text: TextFeatures) -> Iterator[None]:
        """Within, the texts are these, not normalised."""
        if not self.tokens:
            sentence = l2_normalise(text.sentence)
            text = TextFeatures(sentence[:, None], sentence, text.mask[:, :1])
        before, self.text = self.text, text
        try:
            yield
        finally:
            self.text = before

    def forward(self) -> TextFeatures:
        """The features, as a head asks for them."""
        assert self.text is not None
        return self.text


@contextmanager
def replace_texts(model: Any, *, constant: bool) -> Iterator[list[GivenTexts]]:
    """Within, the heads of a model have no text tower.

    Args:
        model: A recognizer.
        constant: Whether the classes' features are constants, or given later.
    """
    heads = [x for x in model.modules() if isinstance(x, NamedClassesHead)]
    before = [head.texts for head in heads]
    given = [GivenTexts(tokens=x.tokens, text=x() if constant else None) for x in before]
    try:
        for head, texts in zip(heads, given):
            head.texts = texts  # type: ignore[assignment]
        yield given
    finally:
        for head, texts_before in zip(heads, before):
            head.texts = texts_before


def find_dtype(model: Any) -> torch.dtype:
    """The type of a model's weights."""
    return next(model.backbone.parameters()).dtype


def list_tensors(x: Any) -> list[Tensor]:
    """The tensors of a backbone's or head's result, which is one or several."""
    return list(x) if isinstance(x, (tuple, list)) else [x]


def mask_frames(frames: Tensor, mask: Tensor) -> Tensor:
    """The mask (N, T') of exported features: the clip's, or ones where a neck left one feature."""
    return mask if frames.shape[1] == mask.shape[1] else frame_mask(frames)
