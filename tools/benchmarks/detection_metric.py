"""Measure AVA's mAP on a test set's size: ``python tools/benchmarks/detection_metric.py``.

The ground truth and the detections are random; every person has a score for each action.
"""

from __future__ import annotations

import argparse
import csv
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.benchmark.measure import describe_machine, measure_seconds
from mmstan.cli import at_least, one_line_errors
from mmstan.evaluation import AVAMetric


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--frames', type=at_least(1), default=57_000, help="key frames; AVA's test: 57,000"
    )
    parser.add_argument('--boxes', type=at_least(1), default=2, help='persons in each frame')
    parser.add_argument('--classes', type=at_least(1), default=60)
    return parser.parse_args()


def draw_boxes(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw boxes x1, y1, x2, y2, (n, 4)."""
    sizes = rng.uniform(0.1, 0.6, (count, 2))
    corners = rng.uniform(0, 1 - sizes)
    return np.concatenate([corners, corners + sizes], axis=1)


def write_truth(args: argparse.Namespace, folder: Path, boxes: np.ndarray) -> None:
    """Write annotations, three actions a person, and the label map."""
    rng = np.random.default_rng(1)
    with (folder / 'truth.csv').open('w', newline='') as file:
        writer = csv.writer(file)
        for index, box in enumerate(boxes):
            frame = index // args.boxes
            place = f'video{frame // 897}', f'{902 + frame % 897:04d}'
            for action in rng.choice(args.classes, size=3, replace=False) + 1:
                writer.writerow([*place, *(f'{x:.3f}' for x in box), action, index])
    labels = ''.join(f'{action}: action {action}\n' for action in range(1, args.classes + 1))
    (folder / 'labels.txt').write_text(labels)


def draw_samples(args: argparse.Namespace, boxes: np.ndarray) -> Iterator[dict[str, Any]]:
    """Draw data samples, whose boxes are the true ones moved a little."""
    rng = np.random.default_rng(2)
    moved = np.clip(boxes + rng.uniform(-0.06, 0.06, boxes.shape), 0, 1).astype(np.float32)
    for frame, found in enumerate(np.split(moved, args.frames)):
        scores = rng.random((args.boxes, args.classes + 1), dtype=np.float32)
        yield dict(
            video_id=f'video{frame // 897}',
            timestamp=902 + frame % 897,
            pred_instances=dict(bboxes=torch.tensor(found), scores=torch.tensor(scores)),
        )


def peak_gb() -> float:
    """The most memory that this process has had, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def main() -> None:
    """Measure and print."""
    args = parse_args()
    print(describe_machine())
    boxes = draw_boxes(args.frames * args.boxes, np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_truth(args, folder, boxes)
        before, start = peak_gb(), time.process_time()

        def read() -> None:
            nonlocal metric
            metric = AVAMetric(str(folder / 'truth.csv'), str(folder / 'labels.txt'))

        metric: Any = None
        reading = measure_seconds(read)
    collecting = measure_seconds(
        lambda: [metric.process({}, [sample]) for sample in draw_samples(args, boxes)]
    )
    scoring = measure_seconds(lambda: print(metric.compute_metrics(metric.results)))
    print(
        f'{args.frames} frames, {len(boxes)} boxes, {args.classes} classes: {reading:.1f} s to '
        f'read the ground truth, {collecting:.1f} s to draw and collect, {scoring:.1f} s to score; '
        f'{time.process_time() - start:.1f} s of processor time in all, '
        f'peak {peak_gb():.2f} GB, of which {before:.2f} GB before'
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
