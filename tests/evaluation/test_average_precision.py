"""AVA's average precision next to the rules written out box by box."""

from collections.abc import Sequence
from itertools import pairwise, permutations

import numpy as np
import pytest

from mmstan.evaluation import average_precision as module
from mmstan.evaluation.average_precision import (
    average_precision,
    box_overlaps,
    find_hits,
    find_pairs,
)
from mmstan.evaluation.detection_scores import Detections, GroundTruth, score_classes


def draw_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corners = rng.integers(0, 6, (count, 2))
    return np.concatenate([corners, corners + rng.integers(1, 5, (count, 2))], axis=1) / 10


def draw_case(seed: int) -> tuple[Detections, GroundTruth]:
    """Few frames, few scores: many boxes compete, and many scores are equal."""
    rng = np.random.default_rng(seed)
    truth = GroundTruth(rng.integers(0, 6, 40), draw_boxes(rng, 40), rng.integers(1, 4, 40))
    moved = np.concatenate([truth.boxes, draw_boxes(rng, 20)])
    moved += rng.choice([0, 0, 0.05], moved.shape)
    scores = rng.integers(0, 8, (60, 3)) / 8
    scores[rng.random(scores.shape) < 0.3] = -np.inf
    frames = np.concatenate([truth.frames, rng.integers(0, 8, 20)])  # 6 and 7 are not annotated
    return Detections(frames, moved, scores), truth


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    return shared / (areas[0] + areas[1] - shared)


def plain_precision(found: Detections, truth: GroundTruth, action: int, *, every: bool) -> float:
    """The five rules for one action, with loops; ``every`` frame, or those with ground truth."""
    lines = [i for i in range(len(truth.actions)) if truth.actions[i] == action]
    outcomes: list[tuple[float, bool]] = []
    for frame in np.unique(found.frames):
        if not every and frame not in truth.frames:
            continue
        given = (found.frames == frame) & (found.scores[:, action - 1] > -np.inf)
        taken = set()
        for i in sorted(np.flatnonzero(given), key=lambda i: -found.scores[i, action - 1]):
            own = [j for j in lines if truth.frames[j] == frame]
            overlaps = [overlap(found.boxes[i], truth.boxes[j]) for j in own]
            best = int(np.argmax(overlaps)) if own else -1
            right = bool(own) and overlaps[best] >= 0.5 and own[best] not in taken
            if right:
                taken.add(own[best])
            outcomes.append((found.scores[i, action - 1], right))
    points = [(0.0, 1.0)]
    for score in sorted({score for score, _ in outcomes}, reverse=True):
        above = [right for other, right in outcomes if other >= score]
        points.append((sum(above) / len(lines), sum(above) / len(above)))
    steps = pairwise(points)
    return sum(
        (b[0] - a[0]) * max(p for r, p in points[1:] if r >= b[0]) for a, b in steps if b[0] > a[0]
    )


@pytest.mark.parametrize('most', [1, 7, 1_000_000])
@pytest.mark.parametrize('seed', range(4))
def test_equals_the_rules_written_out(
    seed: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, '_MOST_PAIRS', most)  # blocks of any size give the same
    found, truth = draw_case(seed)
    scores, _ = score_classes(found, truth, {1: 0, 2: 1, 3: 2, 4: None})
    for action in (1, 2, 3):
        plain = [plain_precision(found, truth, action, every=every) for every in (False, True)]
        ours = [scores[action].precision, scores[action].precision_all_frames]
        assert ours == pytest.approx(plain, abs=1e-12)
        assert 0 < ours[1] < ours[0] < 1
    assert np.isnan(scores[4].precision)  # no ground truth


def test_a_class_without_detections_has_zero() -> None:
    found, truth = draw_case(0)
    scores, _ = score_classes(found, truth, {1: None})
    assert scores[1].precision == scores[1].precision_all_frames == 0
    assert scores[1].detections == 0 and scores[1].positives > 0


def test_equal_scores_are_the_lowest_of_all_orders() -> None:
    scores = np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.1])
    hits = np.array([False, True, False, True, False, True])
    orders = (np.array([0, *(1 + np.array(order)), 5]) for order in permutations(range(4)))
    untied = np.array([0.9, 0.54, 0.53, 0.52, 0.51, 0.1])
    every = [average_precision(untied, hits[order], 4) for order in orders]
    assert average_precision(scores, hits, 4) == min(every) < max(every)


def test_an_overlap_of_exactly_a_half_counts() -> None:
    box = np.array([[0.0, 0.0, 0.4, 0.4]])
    half, less = np.array([[0.0, 0.0, 0.4, 0.2]]), np.array([[0.0, 0.0, 0.4, 0.19]])
    assert box_overlaps(box, half) == 0.5
    frame = np.zeros(1, int)
    assert len(find_pairs(frame, half, frame, box).detected) == 1
    assert len(find_pairs(frame, less, frame, box).detected) == 0
    assert len(find_pairs(frame, half, frame + 1, box).detected) == 0  # another frame


def test_the_second_best_is_not_tried() -> None:
    frames = np.zeros(2, int)
    truth = np.array([[0.0, 0, 1, 1], [0.0, 0, 1, 0.9]])
    boxes = np.array([[0.0, 0, 1, 1], [0.0, 0, 1, 0.99]])
    pairs = find_pairs(frames, boxes, frames, truth)
    assert len(pairs.detected) == 4
    assert find_hits(np.array([0.2, 0.8]), pairs).tolist() == [False, True]


@pytest.mark.parametrize(('positives', 'expected'), [(0, np.nan), (3, 0.0)])
def test_no_detection(positives: int, expected: float) -> None:
    empty = average_precision(np.empty(0), np.empty(0, bool), positives)
    np.testing.assert_equal(empty, expected)
