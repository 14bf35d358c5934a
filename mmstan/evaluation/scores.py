"""Compute scores of texts x videos, one block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from mmstan.models.features import TextFeatures, VideoFeatures

Features = TypeVar('Features', TextFeatures, VideoFeatures)
Score = Callable[[TextFeatures, VideoFeatures], Tensor]

# Numbers of floats. A matrix of 50,000 x 50,000 scores is computed in panels of 128 MB and handed
# on in pieces of 2 MB, so that results computed from a piece stay in the processor's cache.
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
    """Row blocks of a given matrix.

    Args:
        scores: (A, B), any precision; not changed.
        rows: Most rows of a block.
    """

    def __init__(self, scores: Tensor, *, rows: int = 1024) -> None:
        self.scores, self.rows = scores, rows
        self.shape = (scores.shape[0], scores.shape[1])

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        """``rows`` and their scores in float32."""
        yield from _pieces(0, self.scores.float(), self.rows)


class ScoreBlocks:
    """Row blocks of an interaction's scores, without the whole matrix in memory.

    Every pass computes the scores again, in float32; up to 2**26 scores are kept instead. All calls
    of ``score`` have the same shape: another shape may change the last bits, and equal captions
    must tie.

    Args:
        score: ``score(text (a), video (b)) -> (a, b)``, for any a texts and b videos.
        text: A texts, any precision and device.
        video: B videos.
        rows: Most texts of a call; by default as many as fit 128 MB of scores and of features.
        columns: Most videos of a call; by default as many as fit 256 MB of features.
        device: Device for ``score``. Features are moved there call by call; the videos are moved
            once if a single call takes them all.
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
        # All texts in windows of a rows; for each window a panel (a, B), handed on piece by piece.
        # The last window may repeat rows of the one before it, which are cut off.
        texts, videos = self.shape
        for start, first, stop in _windows(texts, self.rows):
            panel = self._panel(move_rows(self.text, slice(first, stop), self.device))
            yield from _pieces(start, panel[start - first :], max(_PIECE // videos, 1))

    @torch.no_grad()
    def _panel(self, text: TextFeatures) -> Tensor:
        """The scores of ``text`` (a) with all videos, (a, B)."""
        # A tile (a, b) per window of videos, side by side, each without its repeated columns.
        tiles = []
        with torch.autocast(self.device.type, enabled=False):
            for overlap, video in self._video_tiles():
                tiles.append(self.score(text, video).float()[:, overlap:])
        return tiles[0] if len(tiles) == 1 else torch.cat(tiles, dim=1)

    def _video_tiles(self) -> Iterator[tuple[int, VideoFeatures]]:
        """Windows of videos on the device, each with its number of repeated leading videos."""
        windows = _windows(self.shape[1], self.columns)
        if len(windows) > 1:
            for start, first, stop in windows:
                yield start - first, move_rows(self.video, slice(first, stop), self.device)
            return
        # One window: the videos are moved once and stay on the device.
        if self._tiles is None:
            self._tiles = [(0, move_rows(self.video, slice(None), self.device))]
        yield from self._tiles


def move_rows(features: Features, rows: slice, device: torch.device) -> Features:
    """Copy ``rows`` of texts or videos to ``device``, floats as float32."""

    def move(x: Tensor) -> Tensor:
        return x[rows].to(device, torch.float32 if x.is_floating_point() else x.dtype)

    return map_tensors(move, features)


def map_tensors(function: Callable[..., Tensor], *features: Features) -> Features:
    """Apply ``function`` to each field: to the tensors of that field in all ``features``.

    Returns features of the same type; a field that is None stays None.
    """
    alike: Any = zip(*features)
    made: Any = [first if first is None else function(first, *rest) for first, *rest in alike]
    return type(features[0])(*made)


def replace_nan(scores: Tensor) -> Tensor:
    """``scores`` with minus infinity in place of NaN, so that NaN never wins."""
    return scores.masked_fill(scores.isnan(), -torch.inf)


def _floats(features: TextFeatures | VideoFeatures) -> int:
    """Number of values of one text or one video, over all its tensors."""
    return sum(x[:1].numel() for x in features if x is not None)


def _windows(total: int, limit: int) -> list[tuple[int, int, int]]:
    """Cover ``range(total)`` by windows of equal size <= ``limit``; the last may overlap.

    Returns (start, first, stop) of each: it reads [first, stop), of which [start, stop) is new.

    >>> _windows(10, 4)
    [(0, 0, 4), (4, 4, 8), (8, 6, 10)]
    """
    # As few windows as possible, then the smallest equal size: 9 by 4 is 3, 3, 3 and not 4, 4, 1.
    size = ceil(total / ceil(total / limit))
    starts = range(0, total, size)
    firsts = [min(start, total - size) for start in starts]
    return [(start, first, first + size) for start, first in zip(starts, firsts)]


def _pieces(start: int, block: Tensor, rows: int) -> Iterator[tuple[slice, Tensor]]:
    """Split a block, whose first row has the number ``start``, into pieces of ``rows`` rows."""
    for piece in block.split(rows):
        yield slice(start, start + len(piece)), piece
        start += len(piece)
