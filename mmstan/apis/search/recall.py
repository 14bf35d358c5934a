"""The recall of the first stage of a search, measured against all frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mmstan.apis.search.nearest import Nearest
from mmstan.apis.search.table import Table, best_pairs, spread_rows

_QUERIES = 200


def measure_recall(
    table: Table,
    nearest: Nearest,
    queries: Sequence[Tensor] = (),
    *,
    rows: int | None = None,
    top: int = 10,
    candidates: int = 400,
) -> dict[str, float]:
    """Measure which share of the truly nearest videos a first stage finds.

    Args:
        table: The videos.
        nearest: The first stage.
        queries: Unit vectors (Q, D) of each query; by default 200 stored frames.
        rows: How many rows of the table are searched; by default all.
        top: How many nearest videos count, by their best frame.
        candidates: How many videos the first stage gives.

    Returns:
        Per cent of these in as many (``in_top``), and among the candidates (``in_candidates``).
    """
    alive = np.flatnonzero(table.alive[:rows])
    queries = list(queries) or _take_frames(table, alive)
    truth = _find_best(table, alive, queries, top)
    shares = []
    for query, best in zip(queries, truth):
        found = nearest.find(query, max(top, candidates))
        shares.append([np.isin(best, found[:top]).mean(), np.isin(best, found).mean()])
    in_top, in_candidates = 100 * np.mean(shares, axis=0)
    return dict(in_top=round(float(in_top), 2), in_candidates=round(float(in_candidates), 2))


def _take_frames(table: Table, rows: np.ndarray) -> list[Tensor]:
    """One frame, the middle one, of some videos."""
    video = table.take(spread_rows(rows, _QUERIES))
    return [
        torch.nn.functional.normalize(frames[mask][int(mask.sum()) // 2, None], dim=1)
        for frames, mask in zip(video.frames, video.mask)
    ]


def _find_best(
    table: Table, rows: np.ndarray, queries: Sequence[Tensor], top: int
) -> list[np.ndarray]:
    """The ``top`` rows by their best frame, for each query; reads the table once."""
    best = [np.empty(0, np.float32) for _ in queries]
    kept = [np.empty(0, np.int64) for _ in queries]
    for part, video in table.blocks(rows):
        for i, query in enumerate(queries):
            # The best of the blocks before, and this block's.
            scores = np.append(best[i], best_pairs(query, video).amax(dim=1).numpy())
            order = np.argsort(-scores, kind='stable')[:top]
            best[i], kept[i] = scores[order], np.append(kept[i], part)[order]
    return kept
