"""Which words of a text are searched for."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from torch import Tensor

from mmstan.apis.search.table import Table, spread_rows
from mmstan.models.features import VideoFeatures, l2_normalise

_WORDS = 3
_ROWS, _BEST = 1024, 8


class WordChoice:
    """Chooses the words of a text that videos answer to.

    An interaction such as Mug gives its weight to the words that find a frame, and these need not
    be the sentence: with a model trained by Mug, the frames nearest to the sentence lead to half of
    its ten best videos among 400, the frames nearest to three words to 99 % and more
    (docs/search.md). A word's worth is measured on a sample of the videos: the mean of its best
    cosines there.

    Args:
        table: The videos.
    """

    def __init__(self, table: Table) -> None:
        self.table = table

    def choose(self, words: Tensor) -> Tensor:
        """Unit vectors (J, D) -> the best three of them, or fewer."""
        if len(words) <= _WORDS or not len(self._sample.frames):
            return words
        cosines = (self._sample.frames @ words.T).masked_fill(~self._sample.mask[..., None], -1.0)
        best = cosines.amax(dim=1)  # (B, J), each word in each video
        worth = best.topk(min(_BEST, len(best)), dim=0).values.mean(dim=0)
        return words[worth.topk(_WORDS).indices]

    @cached_property
    def _sample(self) -> VideoFeatures:
        rows = np.flatnonzero(self.table.alive)
        rows = spread_rows(rows, _ROWS) if len(rows) else rows
        video = self.table.take(rows)
        return VideoFeatures(l2_normalise(video.frames), video.mask)
