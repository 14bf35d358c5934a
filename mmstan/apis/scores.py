"""The scores of a video's classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from mmstan.datasets.readers import BrokenVideoError


class Scores(NamedTuple):
    """The scores of a video's classes."""

    names: list[str]
    """The best classes, best first."""
    values: list[float]
    """Their scores."""
    all: np.ndarray
    """The scores of all K classes in class order, float32; they add up to 1."""
    error: BrokenVideoError | None = None
    """Why the video could not be read; ``names`` is empty then, and ``all`` is NaN, or empty if no
    video of the call could be read."""


def make_scores(
    scores: Tensor | None, error: BrokenVideoError | None, names: Sequence[str] | None, top: int
) -> Scores:
    """Scores of a video, (K,), with the names of the ``top`` best classes."""
    if scores is None:
        return Scores([], [], np.empty(0, np.float32), error)
    values, order = scores.topk(min(top, len(scores)))
    labels = [str(i) if names is None else names[i] for i in order.tolist()]
    return Scores(labels, values.tolist(), scores.numpy())


def fill_in(results: list[Scores]) -> list[Scores]:
    """Give broken videos as many NaNs as others have classes."""
    classes = max((len(result.all) for result in results), default=0)
    blank = np.full(classes, np.nan, np.float32)
    return [x if x.error is None else x._replace(all=blank.copy()) for x in results]
