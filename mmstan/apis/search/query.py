"""A query in whichever form it is given -> vectors for both stages of a search."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmstan.apis.search.encode import Encoder
from mmstan.apis.search.entries import SUFFIXES
from mmstan.apis.search.table import best_pairs
from mmstan.methods.drl import TokenWise
from mmstan.models.features import TextFeatures, VideoFeatures, l2_normalise
from mmstan.wording import show

NO_MODEL = (
    'this index was opened without a model, and texts and videos need one: '
    'SearchIndex.open(folder, model)'
)


class Query(NamedTuple):
    """A text or an example, in the joint space."""

    vectors: Tensor
    """Unit vectors (Q, D): words, or frames. A video is near if one of its frames is near to one of
    them."""
    text: TextFeatures | None = None
    """One text, to be compared by the model's interaction."""
    example: VideoFeatures | None = None
    """One video, to be compared frame by frame."""

    def score(self, video: VideoFeatures, model: Any) -> Tensor:
        """Similarities (B,) to videos.

        Texts: the model's interaction. Examples: the mean of the best cosines of the frames of both
        sides (token-wise); with one feature a video, the cosine. Without a model the best cosine.
        """
        if self.text is not None and model is not None:
            return model.similarity_of(self.text, video)[0]
        if self.example is not None:
            frames, mask, _ = self.example
            return TokenWise()(TextFeatures(frames, frames[:, 0], mask), video)[0]
        return best_pairs(self.vectors, video).amax(dim=1)


def make_query(query: Any, encoder: Encoder | None, dim: int) -> Query:
    """The query of a text, its features, a video, an embedding, or the frames of a video.

    Args:
        query: As :meth:`SearchIndex.search` takes it.
        encoder: Encodes texts and videos; embeddings need none.
        dim: D, width of the joint space.

    Raises:
        ValueError: It is none of these, or needs a model and there is none.
        BrokenVideoError: A video cannot be read.
    """
    if isinstance(query, TextFeatures):
        made = _from_text(query, encoder)
    elif isinstance(query, (np.ndarray, Tensor)) and query.ndim < 3:
        made = _from_embedding(torch.as_tensor(query).detach().cpu())
    elif encoder is None:
        raise ValueError(NO_MODEL)
    elif isinstance(query, str) and not is_video_path(query):
        if not query.strip():
            raise ValueError(f'query={query!r} is empty; give a text, a video or an embedding')
        made = _from_text(encoder.model.embed_texts([query], tokens=True), encoder)
    else:
        frames, mask = encoder.model.embed_compared([query])
        made = _from_example(encoder.pool(VideoFeatures(frames, mask)))
    if made.vectors.shape[1] != dim or not made.vectors.isfinite().all():
        raise ValueError(
            f'a query of width {made.vectors.shape[1]} must have the width {dim} of the index and '
            'finite values'
        )
    return made


def is_video_path(query: str) -> bool:
    """Whether a string names a video, and is no text; a folder of images does with a slash.

    Raises:
        ValueError: It ends as a video's path does, and there is no such file.
    """
    with_slash = '/' in query or os.sep in query
    if '://' in query or os.path.isfile(query) or (with_slash and os.path.isdir(query)):
        return True
    if query.lower().endswith(SUFFIXES):
        raise ValueError(f'there is no video {show(query)}; give its path, or a text to search for')
    return False


def _from_text(text: TextFeatures, encoder: Encoder | None) -> Query:
    """The vectors are the words where the model's interaction reads them, else the sentence."""
    if len(text.sentence) != 1:
        raise ValueError(f'{len(text.sentence)} texts: search for one at a time')
    text = TextFeatures(*(x.cpu() for x in text))
    by_word = encoder is not None and encoder.model.interaction.reads_text_tokens
    vectors = text.tokens[text.mask] if by_word else text.sentence
    return Query(l2_normalise(vectors), text=text)


def _from_embedding(x: Tensor) -> Query:
    """A text of one token, of a vector (D,); an example, of frames (T, D)."""
    if not x.is_floating_point() or x.ndim == 0 or not len(x):
        raise ValueError(
            f'query {tuple(x.shape)} {x.dtype}: an embedding is (D,), the frames of a video are '
            '(T, D), both float; pictures are (T, H, W, 3) uint8'
        )
    if x.ndim == 2:
        return _from_example(
            VideoFeatures(x[None].float(), torch.ones(1, len(x), dtype=torch.bool))
        )
    sentence = x[None].float()
    mask = torch.ones(1, 1, dtype=torch.bool)
    return Query(l2_normalise(sentence), text=TextFeatures(sentence[:, None], sentence, mask))


def _from_example(video: VideoFeatures) -> Query:
    return Query(l2_normalise(video.frames[0][video.mask[0]]), example=video)
