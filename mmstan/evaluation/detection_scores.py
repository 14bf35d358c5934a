"""The detections and the ground truth of a test, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mmstan.evaluation.average_precision import Pairs, average_precision, find_hits, find_pairs


class Detections(NamedTuple):
    """Detected boxes of all frames."""

    frames: np.ndarray
    """Number of each box's frame, int (D,)."""
    boxes: np.ndarray
    """x1, y1, x2, y2 as fractions of the frame, float64 (D, 4)."""
    scores: np.ndarray
    """A score for each action, (D, K - 1); minus infinity where the action is not detected."""


class GroundTruth(NamedTuple):
    """Lines of the ground truth, one for each action of a person."""

    frames: np.ndarray
    """Number of each line's frame, int (G,)."""
    boxes: np.ndarray
    """x1, y1, x2, y2 as fractions of the frame, float64 (G, 4)."""
    actions: np.ndarray
    """Id of the action, int (G,)."""


class ClassScore(NamedTuple):
    """The score of one action."""

    precision: float
    """AP over frames with ground truth; NaN if the ground truth lacks the action."""
    precision_all_frames: float
    """AP with the detections in other frames, which are wrong."""
    positives: int
    """Lines in the ground truth."""
    detections: int
    """Detections in frames with ground truth."""


def score_classes(
    found: Detections, truth: GroundTruth, columns: Mapping[int, int | None]
) -> tuple[dict[int, ClassScore], int]:
    """Score each action; returns the scores by id, and how many boxes overlap the ground truth.

    Args:
        found: Detections, without frames to leave out.
        truth: The ground truth, without frames and actions to leave out.
        columns: By action id, its column of ``found.scores``; None where the model has none.
    """
    has_area = (found.boxes[:, 2:] > found.boxes[:, :2]).all(axis=1)
    found = Detections(*(part[has_area] for part in found))
    pairs = find_pairs(found.frames, found.boxes, truth.frames, truth.boxes)
    named = np.isin(found.frames, truth.frames)
    # Pairs by action: sorted once, then cut.
    order = np.argsort(truth.actions[pairs.truth], kind='stable')
    pairs = Pairs(*(part[order] for part in pairs))
    actions = truth.actions[pairs.truth]
    scores = {}
    for action, column in columns.items():
        start, stop = np.searchsorted(actions, [action, action + 1])
        own = Pairs(*(part[start:stop] for part in pairs))
        positives = int((truth.actions == action).sum())
        if column is None:
            scores[action] = _score_class(np.full(len(named), -np.inf), own, named, positives)
        else:
            scores[action] = _score_class(found.scores[:, column], own, named, positives)
    return scores, len(np.unique(pairs.detected))


def _score_class(scores: np.ndarray, pairs: Pairs, named: np.ndarray, positives: int) -> ClassScore:
    """Score one action; ``named`` (D,) is true for boxes in frames with ground truth."""
    given = scores > -np.inf
    pairs = Pairs(*(part[given[pairs.detected]] for part in pairs))
    hits = find_hits(scores, pairs)
    counted = given & named
    strict = average_precision(scores[given], hits[given], positives)
    precision = strict
    if counted.sum() < given.sum():
        precision = average_precision(scores[counted], hits[counted], positives)
    return ClassScore(precision, strict, positives, int(counted.sum()))


def average_classes(scores: Sequence[float]) -> float | None:
    """The mean of the classes that count; None if none does."""
    counted = [score for score in scores if not np.isnan(score)]
    return float(np.mean(counted)) if counted else None
