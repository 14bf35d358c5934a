"""Similarities of many texts and many videos, computed tile by tile."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_ELEMENTS = {'cpu': 2**20, 'cuda': 2**26}  # a core's cache; enough to keep a GPU busy


def score_in_tiles(
    score: Callable[..., Tensor],
    texts: Sequence[Tensor],
    videos: Sequence[Tensor],
    *,
    per_pair: int,
    elements: int | None = None,
) -> Tensor:
    """``score(*texts, *videos)`` (A, B), computed in tiles of (a, b) pairs.

    Only one tile's intermediate values are in memory at a time. The backward pass computes each
    tile again (``torch.utils.checkpoint``). So memory grows with A + B, but for the result.

    Args:
        score: a rows of the ``texts`` and b rows of the ``videos`` -> similarities (a, b). A pair's
            similarity must not depend on the other pairs.
        texts: Tensors (A, ...).
        videos: Tensors (B, ...).
        per_pair: Numbers that ``score`` keeps in memory for each pair, J * T for token-wise
            interactions.
        elements: Numbers that a tile may keep in memory; by default chosen by the device.
    """
    if needs_one_tile():
        return score(*texts, *videos)
    if elements is None:
        elements = _ELEMENTS.get(texts[0].device.type, 2**24)
    rows, columns = choose_tile_shape(texts[0].shape[0], videos[0].shape[0], elements // per_pair)
    # Nothing of a tile is saved for the backward pass but its inputs; no `score` draws numbers.
    if torch.is_grad_enabled():
        score = partial(checkpoint, score, use_reentrant=False, preserve_rng_state=False)
    # The videos are split once; every row of tiles passes over all strips.
    strips = list(zip(*(x.split(columns) for x in videos)))
    return torch.cat(
        [
            torch.cat([score(*text, *strip) for strip in strips], dim=1)
            for text in zip(*(x.split(rows) for x in texts))
        ]
    )


def needs_one_tile() -> bool:
    """Whether a model is being exported or traced, which would fix tiles for one batch size."""
    return torch.compiler.is_exporting() or torch.jit.is_tracing()


def choose_tile_shape(rows: int, columns: int, pairs: int) -> tuple[int, int]:
    """Sides of a tile of at most ``pairs`` pairs, as near to a square as the matrix allows.

    A square tile reads the fewest texts and videos for its pairs.

    >>> choose_tile_shape(100, 100, 16), choose_tile_shape(2, 100, 16)
    ((4, 4), (2, 8))
    """
    side = max(1, math.isqrt(max(1, pairs)))
    if rows < side:
        return rows, min(columns, max(1, pairs // rows))
    if columns < side:
        return min(rows, max(1, pairs // columns)), columns
    return side, side
