"""Mean average precision of boxes with actions, as ActivityNet's scorer for AVA counts it.

Letters: D detected boxes, G lines of the ground truth (a box and one action), P pairs of these.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_MOST_PAIRS = 1_000_000  # compared at once, which bounds the memory


class Pairs(NamedTuple):
    """Detected boxes and lines of the ground truth that overlap, in the same frame."""

    detected: np.ndarray
    """Index of the detected box, int (P,)."""
    truth: np.ndarray
    """Index of the line of the ground truth, int (P,)."""
    overlap: np.ndarray
    """Intersection over union, float64 (P,)."""


def box_overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes x1, y1, x2, y2, row by row, (P, 4) x (P, 4) -> (P,).

    >>> box_overlaps(np.array([[0.0, 0, 2, 2]]), np.array([[0.0, 0, 2, 1]]))
    array([0.5])
    """
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    shared = sides.clip(min=0).prod(axis=1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    return shared / (areas[0] + areas[1] - shared)


def find_pairs(
    frames: np.ndarray,
    boxes: np.ndarray,
    true_frames: np.ndarray,
    true_boxes: np.ndarray,
    *,
    least: float = 0.5,
) -> Pairs:
    """Find the pairs of one frame whose overlap is at least ``least``.

    Args:
        frames: Number of each detected box's frame, int (D,).
        boxes: Detected boxes, float64 (D, 4).
        true_frames: Number of each line's frame, int (G,).
        true_boxes: Boxes of the ground truth, float64 (G, 4).
        least: The smallest overlap.
    """
    order = np.argsort(true_frames, kind='stable')
    ordered = true_frames[order]
    first = np.searchsorted(ordered, frames, side='left')
    counts = np.searchsorted(ordered, frames, side='right') - first  # lines in a box's frame
    parts = []
    # Blocks of boxes with a bounded number of pairs; a block has one box at least.
    for block in _cut_blocks(counts):
        number = counts[block]
        detected = np.repeat(np.arange(len(frames))[block], number)
        # 0, 1, ... within each box: positions in all pairs, minus the box's first position.
        within = np.arange(len(detected)) - np.repeat(np.cumsum(number) - number, number)
        truth = order[np.repeat(first[block], number) + within]
        overlap = box_overlaps(boxes[detected], true_boxes[truth])
        enough = overlap >= least
        parts.append(Pairs(detected[enough], truth[enough], overlap[enough]))
    if not parts:
        return Pairs(np.empty(0, int), np.empty(0, int), np.empty(0))
    return Pairs(*(np.concatenate(column) for column in zip(*parts)))


def find_hits(scores: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Find the detections of one class that are right, bool (D,).

    By descending score, a detection takes the line of the ground truth that it overlaps most. If
    another one has taken that line, the detection is wrong, also where it overlaps a second one.

    Args:
        scores: Scores (D,).
        pairs: Pairs with lines of this class, with enough overlap.
    """
    # The best line of each detection: pairs by detection, then by falling overlap, then by line.
    order = np.lexsort((pairs.truth, -pairs.overlap, pairs.detected))
    detected, first = np.unique(pairs.detected[order], return_index=True)
    truth = pairs.truth[order][first]
    # The first detection of each line, by descending score.
    order = np.argsort(-scores[detected], kind='stable')
    _, first = np.unique(truth[order], return_index=True)
    hits = np.zeros(len(scores), bool)
    hits[detected[order][first]] = True
    return hits


def average_precision(scores: np.ndarray, hits: np.ndarray, positives: int) -> float:
    """The area under precision over recall; NaN without positives.

    Detections with equal scores enter together, as one point of the curve. That is the lowest
    value of all orders among them. Precision is made monotone: at each recall, it is the best one
    at this or a higher recall.

    Args:
        scores: Scores of the detections of a class, (D,).
        hits: Which of them are right, bool (D,).
        positives: Number of lines in the ground truth.

    >>> average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), positives=2)
    0.8333333333333333
    """
    if positives == 0:
        return float('nan')
    order = np.argsort(-scores)
    ordered = scores[order]
    # Points of the curve: the last detection of each score.
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], len(ordered) > 0))
    right = np.cumsum(hits[order])[last] if len(last) else np.empty(0)
    recall, precision = right / positives, right / (last + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0) * precision).sum())


def _cut_blocks(counts: np.ndarray) -> list[slice]:
    """Cut boxes into blocks in which ``counts`` add up to the limit, or of one box."""
    blocks, start, ends = [], 0, np.cumsum(counts)
    while start < len(counts):
        before = ends[start - 1] if start else 0
        stop = int(np.searchsorted(ends, before + _MOST_PAIRS, side='right'))
        blocks.append(slice(start, max(stop, start + 1)))
        start = blocks[-1].stop
    return blocks
