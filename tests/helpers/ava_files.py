"""Small data in AVA's format: videos of one moving box, and the files about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from helpers.videos import write_video

FPS, SECONDS, HEIGHT, WIDTH = 8, 4, 48, 80
TRUTH = """a,1,0.25,0.25,0.5,0.75,1,7
a,1,0.25,0.25,0.5,0.75,3,7
a,1,0.6,0.2,0.9,0.6,2,8
a,3,0.25,0.25,0.5,0.75,2,7
b,2,0.1,0.1,0.4,0.9,1,0
"""
BOXES = """a,1,0.25,0.25,0.5,0.75,0.99
a,1,0.6,0.2,0.9,0.7,0.95
a,1,0.0,0.0,0.2,0.2,0.5
a,3,0.3,0.25,0.5,0.75,0.4
a,3,0.25,0.25,0.5,0.75,0.6
b,2,0.1,0.1,0.4,0.9,0.91
"""
LABELS = '1: stand\n2: run\n3: hold\n'


def write_files(folder: Path, **texts: str) -> dict[str, str]:
    """Write truth.csv, boxes.csv and labels.txt, or other texts of these names; returns paths."""
    texts = dict(truth=TRUTH, boxes=BOXES, labels=LABELS) | texts
    paths = {name: folder / f'{name}.{"txt" if name == "labels" else "csv"}' for name in texts}
    for name, text in texts.items():
        paths[name].write_text(text)
    return {name: str(path) for name, path in paths.items()}


def write_videos(folder: Path, box: tuple[float, float, float, float]) -> Path:
    """Write a.mp4 and b.avi, in which a red box stands at ``box`` on blue in every frame."""
    folder.mkdir(exist_ok=True)
    frames = np.zeros((FPS * SECONDS, HEIGHT, WIDTH, 3), np.uint8)
    frames[..., 2] = 200
    x1, y1, x2, y2 = np.round(np.multiply(box, [WIDTH, HEIGHT, WIDTH, HEIGHT])).astype(int)
    frames[:, y1:y2, x1:x2] = 220, 0, 0
    for name in ('a.mp4', 'b.avi'):
        write_video(folder / name, frames, fps=FPS, options=dict(crf='5'))
    return folder


def dataset_config(folder: Path, videos: Path, **arguments: Any) -> dict[str, Any]:
    """Arguments of an ``AVADataset`` on the files above, without transforms."""
    files = write_files(folder)
    config: dict[str, Any] = dict(
        ann_file=files['truth'],
        label_file=files['labels'],
        proposal_file=files['boxes'],
        data_prefix=dict(video=str(videos)),
        num_classes=4,
        timestamp_start=0,
        pipeline=[],
    )
    return config | arguments
