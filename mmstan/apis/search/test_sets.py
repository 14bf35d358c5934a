"""An index of an encoded test set, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmstan.apis.search.encode import check_interaction
from mmstan.apis.search.index import SearchIndex
from mmstan.apis.test_set import TestSet
from mmstan.models.features import TextFeatures, VideoFeatures


class _TextSide:
    """The part of a :class:`~mmstan.VideoModel` that a search by text asks for."""

    def __init__(self, model: Any) -> None:
        self.model, self.interaction = model, model.head.interaction

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str], *, tokens: bool) -> TextFeatures:
        return TextFeatures(*(x.cpu() for x in self.model.encode_texts(texts)))

    def similarity_of(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        device = next(self.model.parameters()).device
        moved: Any = (None if x is None else x.to(device) for x in video)
        text = TextFeatures(*(x.to(device) for x in text))
        return self.model.similarity(text, VideoFeatures(*moved)).float().cpu()


def index_test_set(data: TestSet) -> SearchIndex | None:
    """An index whose hits are named by the numbers of the videos, ``'0'``, ``'1'``, ...

    None where the interaction compares more than frames, so that every video must be scored.
    """
    model = _TextSide(data.model)
    try:
        check_interaction(model.interaction)
    except ValueError:
        return None
    names = [str(number) for number in range(len(data.names))]
    video = data.gallery.video
    return SearchIndex.of_features(model, names, video.frames, video.mask)
