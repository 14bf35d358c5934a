"""The first stage of a search: the videos that hold the frames nearest to a query."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from torch import Tensor

from mmstan.apis.search.kinds import check_brute_force
from mmstan.apis.search.table import Table, best_pairs

_FRAMES_A_CANDIDATE = 8  # several near frames may be of one video


class Nearest(Protocol):
    """Finds videos by their best frame."""

    def find(self, query: Tensor, count: int) -> np.ndarray:
        """At most ``count`` rows, the nearest first, for unit vectors (Q, D)."""


class NearestByTorch:
    """Compares a query with every stored frame. Exact.

    Args:
        table: The videos.
        rows: How many of its rows to search.
    """

    def __init__(self, table: Table, rows: int) -> None:
        self.table = table
        self.rows = np.flatnonzero(table.alive[:rows])
        check_brute_force(len(self.rows))

    def find(self, query: Tensor, count: int) -> np.ndarray:
        """See :class:`Nearest`."""
        best = [
            best_pairs(query, video).amax(dim=1).numpy()
            for _, video in self.table.blocks(self.rows)
        ]
        scores = np.concatenate(best) if best else np.empty(0)
        return self.rows[np.argsort(-scores, kind='stable')[:count]]


class NearestByFaiss:
    """Asks an index of faiss for frames, until they are of enough videos.

    Args:
        table: The videos.
        index: The index; ids are ``stride * row + frame``.
        stride: Distance of two videos' ids.
    """

    def __init__(self, table: Table, index: Any, stride: int) -> None:
        self.index, self.stride = index, stride
        self.alive = table.alive

    def find(self, query: Tensor, count: int) -> np.ndarray:
        """See :class:`Nearest`."""
        wanted = _FRAMES_A_CANDIDATE * count
        while True:
            wanted = min(wanted, self.index.ntotal)
            if wanted == 0:
                return np.empty(0, np.int64)
            rows = self._search(query, wanted)
            if len(rows) >= count or wanted == self.index.ntotal:
                return rows[:count]
            wanted *= 4

    def _search(self, query: Tensor, frames: int) -> np.ndarray:
        """The rows of the nearest frames, each once, the nearest first."""
        scores, ids = self.index.search(np.ascontiguousarray(query.numpy()), frames)
        # One list of all Q lists, in the order of the scores; -1 fills a short list.
        order = np.argsort(-scores.ravel(), kind='stable')
        rows = ids.ravel()[order] // self.stride
        rows = rows[(rows >= 0) & (rows < len(self.alive))]
        rows = rows[self.alive[rows]]
        first = np.unique(rows, return_index=True)[1]
        return rows[np.sort(first)]
