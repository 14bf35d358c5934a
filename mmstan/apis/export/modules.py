"""Parts of a model as modules from tensors to tensors, which :mod:`torch.export` can follow.

Letters: N videos, T frames, A texts of J tokens, D joint space, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
        self.sentences = retrieval and not reads_tokens(model)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Token ids -> features, not normalised."""
        text = self.tower(ids)
        sentence = text.sentence.float()
        if self.sentences:
            return sentence[:, None], sentence, text.mask[:, :1]
        return text.tokens.float(), sentence, text.mask


class RetrievalScores(nn.Module):
    """Features of A texts and N videos -> similarities (A, N), without a scale.

    Args:
        model: A retrieval model.
        names: Names of the inputs: those of the text part that the interaction reads, ``features``,
            ``frame_mask`` and perhaps ``video_tokens``.
    """

    def __init__(self, model: Any, names: Sequence[str]) -> None:
        super().__init__()
        self.interaction, self.names = model.head.interaction, list(names)

    def forward(self, *given: Tensor) -> Tensor:
        """The inputs in the order of their names."""
        inputs = dict(zip(self.names, given))
        video = VideoFeatures(inputs['features'], inputs['frame_mask'], inputs.get('video_tokens'))
        return self.interaction(make_text(inputs), video).float()


class RecognitionScores(nn.Module):
    """The head of a recognizer with A texts in the place of its classes: (A, N), without a scale.

    Args:
        head: The head; :func:`replace_texts` has given it ``texts``.
        texts: What the head asks for the features of its classes.
        names: Names of the inputs: those of the text part that the head reads, and all features.
    """

    def __init__(self, head: NamedClassesHead, texts: GivenTexts, names: Sequence[str]) -> None:
        super().__init__()
        self.head, self.texts, self.names = head, texts, list(names)
        self.scale = head.scale  # a number, where it is learned too

    def forward(self, *given: Tensor) -> Tensor:
        """The inputs in the order of their names."""
        inputs = dict(zip(self.names, given))
        x = [value for name, value in inputs.items() if name.startswith('features')]
        with self.texts.give(make_text(inputs)):
            scores = self.head(x[0] if len(x) == 1 else x)
        return (scores / self.scale).T


def make_text(inputs: Mapping[str, Tensor]) -> TextFeatures:
    """Text features of a part's inputs, which may be the sentences (A, D) alone."""
    sentence = inputs['sentence']
    if 'tokens' in inputs:
        return TextFeatures(inputs['tokens'], sentence, inputs['text_mask'])
    everything = torch.ones(sentence.shape[0], 1, dtype=torch.bool, device=sentence.device)
    return TextFeatures(sentence[:, None], sentence, everything)


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


def reads_tokens(model: Any) -> bool:
    """Whether texts are compared token by token, and not as whole sentences."""
    if is_retrieval(model):
        return model.head.interaction.reads_text_tokens
    return model.cls_head.texts.tokens


def find_dtype(model: Any) -> torch.dtype:
    """The type of a model's weights."""
    return next(model.backbone.parameters()).dtype


def list_tensors(x: Any) -> list[Tensor]:
    """The tensors of a backbone's or head's result, which is one or several."""
    return list(x) if isinstance(x, (tuple, list)) else [x]


def mask_frames(frames: Tensor, mask: Tensor) -> Tensor:
    """The mask (N, T') of exported features: the clip's, or ones where a neck left one feature."""
    return mask if frames.shape[1] == mask.shape[1] else frame_mask(frames)
