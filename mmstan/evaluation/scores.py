"""Scores of texts x videos, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from mmstan.models.features import TextFeatures, VideoFeatures

Features = TypeVar('Features', TextFeatures, VideoFeatures)
Score = Callable[[TextFeatures, VideoFeatures], Tensor]

# In floats. The scores of 50,000 x 50,000 pairs go by in panels of 128 MB, and are handed on in
# pieces of 2 MB: what is computed from a piece stays in the cache.
_KEPT = 2**26
_PANEL = 2**25
_PIECE = 2**19


class Blocks(Protocol):
    """A matrix (A texts, B videos) in blocks of rows; every pass gives the same values."""

    shape: tuple[int, int]

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        """``rows`` and their scores (len(rows), B), from the first row to the last."""
        ...


class MatrixBlocks:
    """Row blocks of a matrix that is there already.

    Args:
        scores: (A, B), any precision; left as it is.
        rows: Rows of a block.
    """

    def __init__(self, scores: Tensor, *, rows: int = 1024) -> None:
        self.scores, self.rows = scores, rows
        self.shape = (scores.shape[0], scores.shape[1])

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        """``rows`` and their scores in float32."""
        yield from _pieces(0, self.scores.float(), self.rows)


class ScoreBlocks:
    """Row blocks of the scores that an interaction gives; the matrix as a whole is never there.

    Every pass computes the scores again, in float32, unless they are few enough to be kept (2**26).
    All calls of ``score`` have one shape, since another shape may differ in the last bits, and
    equal captions must tie.

    Args:
        score: ``score(text (a), video (b)) -> (a, b)``, of any a texts and b videos.
        text: A texts, any precision and device.
        video: B videos.
        rows: Most texts of a call; by default so that their scores and features stay small.
        columns: Most videos of a call; by default so that their features stay below 256 MB.
        device: Where ``score`` is computed. The features are moved there a call at a time, the
            videos once if they make a single call.
    """

    def __init__(
        self,
        score: Score,
        text: TextFeatures,
        video: VideoFeatures,
        *,
        rows: int | None = None,
        columns: int | None = None,
        device: torch.device | str = 'cpu',
    ) -> None:
        self.score, self.text, self.video = score, text, video
        self.device = torch.device(device)
        texts, videos = len(text.sentence), len(video.frames)
        self.shape = (texts, videos)
        self.rows = rows or min(_PANEL // videos, _PANEL // _floats(text)) or 1
        self.columns = columns or _KEPT // _floats(video) or 1
        self._kept: list[tuple[slice, Tensor]] | None = None
        self._tiles: list[tuple[int, VideoFeatures]] | None = None

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        """``rows`` and their scores in float32, on the device."""
        if self.shape[0] * self.shape[1] > _KEPT:
            return self._computed()
        if self._kept is None:
            self._kept = list(self._computed())
        return iter(self._kept)

    def _computed(self) -> Iterator[tuple[slice, Tensor]]:
        texts, videos = self.shape
        for start, first, stop in _windows(texts, self.rows):
            panel = self._panel(move_rows(self.text, slice(first, stop), self.device))
            yield from _pieces(start, panel[start - first :], max(_PIECE // videos, 1))

    @torch.no_grad()
    def _panel(self, text: TextFeatures) -> Tensor:
        """The scores of ``text`` (a) with all videos, (a, B)."""
        tiles = []
        with torch.autocast(self.device.type, enabled=False):
            for overlap, video in self._video_tiles():
                tiles.append(self.score(text, video).float()[:, overlap:])
        return tiles[0] if len(tiles) == 1 else torch.cat(tiles, dim=1)

    def _video_tiles(self) -> Iterator[tuple[int, VideoFeatures]]:
        """How many leading videos were in the tile before, and the videos, on the device."""
        windows = _windows(self.shape[1], self.columns)
        if len(windows) > 1:
            for start, first, stop in windows:
                yield start - first, move_rows(self.video, slice(first, stop), self.device)
            return
        if self._tiles is None:
            self._tiles = [(0, move_rows(self.video, slice(None), self.device))]
        yield from self._tiles


def move_rows(features: Features, rows: slice, device: torch.device) -> Features:
    """Some texts or videos, on ``device`` and in float32."""

    def move(x: Tensor) -> Tensor:
        return x[rows].to(device, torch.float32 if x.is_floating_point() else x.dtype)

    return map_tensors(move, features)


def map_tensors(function: Callable[..., Tensor], *features: Features) -> Features:
    """``function`` of each tensor, and of its like in the others; None where it is None."""
    alike: Any = zip(*features)
    made: Any = [first if first is None else function(first, *rest) for first, *rest in alike]
    return type(features[0])(*made)


def replace_nan(scores: Tensor) -> Tensor:
    """``scores`` with minus infinity for NaN, which so never wins."""
    return scores.masked_fill(scores.isnan(), -torch.inf)


def _floats(features: TextFeatures | VideoFeatures) -> int:
    """How many floats one text or one video has."""
    return sum(x[:1].numel() for x in features if x is not None)


def _windows(total: int, limit: int) -> list[tuple[int, int, int]]:
    """Cover ``range(total)`` by windows of one size <= ``limit``, the last of which may overlap.

    Returns (start, first, stop) of each: it reads [first, stop), of which [start, stop) is new.
    """
    size = ceil(total / ceil(total / limit))
    starts = range(0, total, size)
    firsts = [min(start, total - size) for start in starts]
    return [(start, first, first + size) for start, first in zip(starts, firsts)]


def _pieces(start: int, block: Tensor, rows: int) -> Iterator[tuple[slice, Tensor]]:
    """A block whose first row is number ``start``, in pieces of ``rows`` rows."""
    for piece in block.split(rows):
        yield slice(start, start + len(piece)), piece
        start += len(piece)
