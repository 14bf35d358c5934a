"""Which time an epoch shows a sample: the first, or one of the others."""

from __future__ import annotations

from typing import Any

import numpy as np


class Visit(int):
    """The index of a sample that the epoch has shown before.

    It is the integer that it is made from, so that any data set takes it.
    :class:`~mmstan.datasets.ReliableSamples` draws other random numbers for each visit.

    >>> visit = Visit(5, 2)
    >>> visit == 5, visit.earlier
    (True, 2)

    Args:
        index: The index.
        earlier: How often this epoch has shown the sample before.
    """

    earlier: int

    def __new__(cls, index: int, earlier: int) -> Visit:
        """Make the integer, and note its attribute."""
        visit = super().__new__(cls, index)
        visit.earlier = earlier
        return visit

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the attribute on the way to a worker."""
        return Visit, (int(self), self.earlier)


def count_earlier(order: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Count for each item of a part of an order how often it came before; int32.

    >>> seen = np.array([0, 5, 0, 0])
    >>> count_earlier(np.array([3, 1, 3, 3, 1]), seen).tolist(), seen.tolist()
    ([0, 5, 1, 2, 6], [0, 7, 0, 3])

    Args:
        order: Indices of the part.
        seen: How often each sample came in the parts before; those of this part are added.
    """
    by_index = np.argsort(order, kind='stable')
    ordered = order[by_index]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    lengths = np.diff(first, append=len(ordered))
    counts = np.empty(len(order), np.int32)
    counts[by_index] = np.arange(len(order)) - np.repeat(first, lengths)
    counts += seen[order]
    seen[ordered[first]] += lengths
    return counts
