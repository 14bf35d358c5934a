"""AVA's mean average precision on the cases' files, through the metric as a test calls it."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmstan.evaluation import AVAMetric

INPUTS = ('detections.*', 'ground_truth.*', 'excluded')
TOLERANCE = 1e-9
_ABSENT = -1.0  # stands for the AP of a class that does not count


def recorded(meta: dict[str, Any]) -> dict[str, Tensor]:
    """The figures in ``meta.json``: mAP, and AP by class."""
    found = {}
    for name in ('expected', 'expected_all_frames'):
        if name in meta:
            classes = [_ABSENT if x is None else x for x in meta[name]['per_class'].values()]
            found[f'{name}.mAP'] = torch.tensor(meta[name]['mAP'], dtype=torch.float64)
            found[f'{name}.per_class'] = torch.tensor(classes, dtype=torch.float64)
    return found


def outputs(
    meta: dict[str, Any], state: dict[str, Tensor], io: dict[str, Tensor]
) -> dict[str, Tensor]:
    metric, scores = score_case(Path(meta['folder']), meta['custom_classes'])
    found: dict[str, Any] = {
        'expected.mAP': scores['mAP'],
        'expected.per_class': [
            metric.class_scores[int(action)].precision for action in meta['expected']['per_class']
        ],
    }
    if 'expected_all_frames' in meta:
        found['expected_all_frames.mAP'] = scores['mAP_all_frames']
        found['expected_all_frames.per_class'] = [
            metric.class_scores[int(action)].precision_all_frames
            for action in meta['expected_all_frames']['per_class']
        ]
    tensors = {name: torch.tensor(x, dtype=torch.float64) for name, x in found.items()}
    return {name: x.nan_to_num(_ABSENT) for name, x in tensors.items()}


def score_case(
    folder: Path, custom_classes: list[int] | None = None
) -> tuple[AVAMetric, dict[str, float]]:
    """Score the detections of a case's folder."""
    labels = str(folder / 'labels.pbtxt')
    metric = AVAMetric(
        str(folder / 'ground_truth.csv'), labels, str(folder / 'excluded.csv'), custom_classes
    )
    actions = custom_classes or range(1, 81)
    samples = read_samples(folder / 'detections.csv', [*actions])
    metric.process({}, samples)
    return metric, metric.compute_metrics(metric.results)


def read_samples(path: Path, actions: list[int]) -> list[dict[str, Any]]:
    """Read detections, one action a row, as data samples; the other actions are minus infinity."""
    frames: dict[tuple[str, str], list[tuple[Tensor, Tensor]]] = defaultdict(list)
    with path.open() as file:
        for video, timestamp, *box, action, score in csv.reader(file):
            scores = torch.full((len(actions) + 1,), -torch.inf, dtype=torch.float64)
            if int(action) in actions:
                scores[1 + actions.index(int(action))] = float(score)
            row = torch.tensor([float(x) for x in box], dtype=torch.float64), scores
            frames[video, timestamp].append(row)
    return [
        dict(
            video_id=video,
            timestamp=int(timestamp),
            pred_instances=dict(
                bboxes=torch.stack([box for box, _ in rows]),
                scores=torch.stack([scores for _, scores in rows]),
            ),
        )
        for (video, timestamp), rows in frames.items()
    ]
