"""The encoded videos of an index: what they are and their features, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmstan.apis.search.entries import Entry
from mmstan.apis.search.row_file import RowFile
from mmstan.models.features import VideoFeatures, l2_normalise

BLOCK = 1024  # rows that are read, encoded and written at once


@dataclass
class Table:
    """Rows of an index.

    Attributes:
        entries: The video of each row; None where it was removed.
        features: Features (rows, T, D), not normalised, float16 or float32, in memory or in a file.
        mask: True for real frames (rows, T).
    """

    entries: list[Entry | None]
    features: np.ndarray | RowFile
    mask: np.ndarray

    @property
    def alive(self) -> np.ndarray:
        """True for rows that were not removed, (rows,)."""
        return np.fromiter((entry is not None for entry in self.entries), bool, len(self.entries))

    def take(self, rows: np.ndarray) -> VideoFeatures:
        """Features of some rows, in float32."""
        # PyTorch turns half precision into single in a tenth of NumPy's time.
        frames = torch.from_numpy(self.features[rows]).float()
        return VideoFeatures(frames, torch.from_numpy(self.mask[rows]))

    def blocks(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, VideoFeatures]]:
        """Rows and their features, some at a time."""
        for start in range(0, len(rows), BLOCK):
            part = rows[start : start + BLOCK]
            yield part, self.take(part)

    def unit_frames(self, rows: np.ndarray, stride: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Ids (F,) and unit vectors (F, D) of the real frames of rows, some rows at a time.

        The id of a frame is ``stride * row + frame``.
        """
        for part, video in self.blocks(rows):
            row, frame = video.mask.numpy().nonzero()
            ids = stride * part[row] + frame
            yield ids.astype(np.int64), l2_normalise(video.frames)[video.mask].numpy()


def best_pairs(query: Tensor, video: VideoFeatures) -> Tensor:
    """The best cosine of each frame with a query's vectors, -inf at padding.

    Args:
        query: Unit vectors (Q, D).
        video: Frames (B, T, D).

    Returns:
        (B, T), float32.
    """
    scores = (l2_normalise(video.frames) @ query.T).amax(dim=2)
    return scores.masked_fill(~video.mask, -torch.inf)


def spread_rows(rows: np.ndarray, count: int) -> np.ndarray:
    """At most ``count`` rows, evenly spread."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64))]
