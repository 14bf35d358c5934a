"""Both stages of a search: candidates by their best frame, then the model's own interaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmstan.apis.search.encode import Encoder
from mmstan.apis.search.hits import Hit
from mmstan.apis.search.nearest import Nearest
from mmstan.apis.search.query import Query, make_query
from mmstan.apis.search.recall import measure_recall
from mmstan.apis.search.table import Table, best_pairs
from mmstan.apis.search.words import WordChoice
from mmstan.models.features import VideoFeatures


class Searcher:
    """Searches a table; arguments of the methods as for :class:`SearchIndex`.

    Args:
        table: The videos.
        nearest: The first stage.
        encoder: The model; without one only embeddings are searched.
    """

    def __init__(self, table: Table, nearest: Nearest, encoder: Encoder | None) -> None:
        self.table, self.nearest, self.encoder = table, nearest, encoder
        self.words = WordChoice(table)

    def search(self, query: Any, top: int, *, candidates: int, rerank: bool) -> list[Hit]:
        """The videos nearest to a query, the best first."""
        for name, value in (('top', top), ('candidates', candidates)):
            if value < 1:
                raise ValueError(f'{name}={value} must be at least 1')
        made = self._make_query(query)
        rows = np.sort(self.nearest.find(made.vectors, max(top, candidates)))
        video = self.table.take(rows)
        if rerank:
            scores = made.score(video, self.encoder and self.encoder.model)
        else:
            scores = best_pairs(made.vectors, video).amax(dim=1)
        order = scores.argsort(descending=True, stable=True)[:top]
        frames = self._find_frames(made, VideoFeatures(video.frames[order], video.mask[order]))
        pairs = zip(rows[order.numpy()], scores[order].tolist(), frames)
        return [self._make_hit(int(row), score, frame) for row, score, frame in pairs]

    def _find_frames(self, query: Query, video: VideoFeatures) -> list[int | None]:
        """The frame of each video that is nearest to the query."""
        if self.table.features.shape[1] == 1:
            return [None] * len(video.frames)
        return best_pairs(query.vectors, video).argmax(dim=1).tolist()

    def _make_hit(self, row: int, score: float, frame: int | None) -> Hit:
        entry = self.table.entries[row]
        assert entry is not None
        return Hit(entry.path, score, entry.start, entry.end, frame)

    def measure_recall(
        self, texts: Sequence[str], *, top: int, candidates: int
    ) -> dict[str, float]:
        """Measure the first stage, see :func:`measure_recall`."""
        queries = [self._make_query(text).vectors for text in texts]
        return measure_recall(self.table, self.nearest, queries, top=top, candidates=candidates)

    def _make_query(self, query: Any) -> Query:
        made = make_query(query, self.encoder, self.table.features.shape[2])
        return made if made.text is None else made._replace(vectors=self.words.choose(made.vectors))
