"""The quickstart of action detection: render Moving Shapes' crowds, train, test and draw."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torchvision.ops import box_iou

from mmstan.benchmark.quickstart import OUT
from mmstan.benchmark.runs import read_detection_figures, train_and_test
from mmstan.compat.closed import read_plain_pickle
from mmstan.config.paths import find_shipped
from mmstan.datasets.label_maps import read_action_names
from mmstan.datasets.moving_shapes import generate
from mmstan.datasets.moving_shapes.crowd_files import COLOR_IDS, MOTION_IDS
from mmstan.datasets.readers import open_video
from mmstan.visualization import KeyFrame, Person, draw_sheet
from mmstan.visualization.detection import OTHER, TRUTH
from mmstan.wording import markdown_table

SYSTEMS = {'CLIP mean': 'detection_clip_mean', 'STAN': 'detection_stan'}
COLUMNS = ('motion', 'colour', 'mAP')
"""Keys of the figures: eight motions, four colours, all."""
_WRONG = '#cf222e'


def run_detection(seeds: Sequence[int]) -> str:
    """Train and test both systems with each seed; prints a line a seed, returns the table.

    Figures are mAP at an overlap of 0.5, in per cent, of each of ``COLUMNS``.
    """
    generate(size='small', tasks=['detection'])
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in SYSTEMS}
    for seed in seeds:
        for name, stem in SYSTEMS.items():
            config, work_dir = find_config(stem), find_work_dir(stem, seed)
            options = ('--seed', str(seed))
            row = train_and_test(config, work_dir, *options, figures=read_detection_figures)
            figures[name].append(row)
        print(format_seed(seed, {name: runs[-1] for name, runs in figures.items()}), flush=True)
    draw_results(OUT / 'detection.png', {n: find_work_dir(s, seeds[0]) for n, s in SYSTEMS.items()})
    return format_table(figures, seeds)


def find_config(stem: str) -> Path:
    """The path of a config of the quickstart."""
    return find_shipped('configs') / f'quickstart/{stem}.py'


def find_work_dir(stem: str, seed: int) -> Path:
    """The folder of a config's run with a seed."""
    return OUT / f'{stem}_seed{seed}'


def format_seed(seed: int, figures: Mapping[str, Mapping[str, float]]) -> str:
    """Format the figures of a seed in one line."""
    parts = []
    for name, row in figures.items():
        shares = ', '.join(f'{column} {100 * row[column]:.1f}' for column in COLUMNS)
        parts.append(f'{name}: {shares} ({row["seconds"]:.0f} s)')
    return f'seed {seed}  {"  ".join(parts)}'


def format_table(figures: Mapping[str, Sequence[Mapping[str, float]]], seeds: Sequence[int]) -> str:
    """Markdown: the mean over seeds of each figure, then motions by seed."""
    several = len(seeds) > 1
    head = ['', *COLUMNS, *(f'motion, seed {seed}' for seed in seeds if several)]
    rows = []
    for name, runs in figures.items():
        means = [statistics.mean(run[column] for run in runs) for column in COLUMNS]
        each = [run['motion'] for run in runs if several]
        rows.append([name, *(f'{100 * share:.1f}' for share in (*means, *each))])
    return markdown_table(head, rows, align='l' + 'r' * (len(head) - 1))


def draw_results(path: Path, work_dirs: Mapping[str, Path], *, number: int = 4) -> None:
    """Draw key frames: the truth, and next to it the best motion and colour of each system.

    Args:
        path: The picture's path, ``.png``.
        work_dirs: Name of a system -> the folder of its test, with ``predictions.pkl``.
        number: Number of key frames, the first of different videos.
    """
    dumps = {name: _read_dump(folder) for name, folder in work_dirs.items()}
    cfg = Config.fromfile(find_config('detection_stan'))
    dataset = cfg.test_dataloader.dataset
    names = read_action_names(dataset)
    rows = []
    for frame in _choose_frames(next(iter(dumps.values())), number):
        sample = next(iter(dumps.values()))[frame]
        picture = _read_key_frame(Path(dataset.data_prefix.video, f'{frame[0]}.mp4'), frame[1])
        truth = _list_truth(sample, names)
        row = [KeyFrame(picture, f'truth ({frame[0]}, {frame[1]} s)', truth)]
        for name, dump in dumps.items():
            row.append(KeyFrame(picture, name, _list_found(dump[frame], names)))
        rows.append(row)
    title = 'actions at the key frame: red has the wrong motion, brown is no actor'
    draw_sheet(path, rows, title=title)


def _read_dump(work_dir: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """Key frame -> its data sample as a dictionary."""
    samples = read_plain_pickle(work_dir / 'predictions.pkl')
    return {(sample['video_id'], sample['timestamp']): sample for sample in samples}


def _choose_frames(dump: Mapping[tuple[str, int], Any], number: int) -> list[tuple[str, int]]:
    """The first key frame of each of some videos."""
    first: dict[str, tuple[str, int]] = {}
    for frame in sorted(dump):
        first.setdefault(frame[0], frame)
    return list(first.values())[:number]


def _read_key_frame(path: Path, second: float) -> np.ndarray:
    with open_video(path) as reader:
        return reader.read([round(second * reader.avg_fps)])[0]


def _read_truth(sample: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Annotated boxes (g, 4), as fractions, and actions (g, K)."""
    height, width = sample['img_shape']
    truth = sample['gt_instances']
    return truth['bboxes'] / torch.tensor([width, height, width, height]), truth['labels']


def _list_truth(sample: Mapping[str, Any], names: Mapping[int, str]) -> list[Person]:
    boxes, labels = _read_truth(sample)
    return [
        Person(box, [names[action] for action in np.flatnonzero(label).tolist()], TRUTH)
        for box, label in zip(boxes.tolist(), labels.numpy())
    ]


def _list_found(sample: Mapping[str, Any], names: Mapping[int, str]) -> list[Person]:
    """The detected boxes, each with its best motion and its best colour."""
    boxes, labels = _read_truth(sample)
    found = sample['pred_instances']
    overlaps = box_iou(found['bboxes'], boxes)
    persons = []
    for box, scores, overlap in zip(found['bboxes'].tolist(), found['scores'], overlaps):
        best = [ids[int(scores[list(ids)].argmax())] for ids in (MOTION_IDS, COLOR_IDS)]
        right = bool(labels[overlap.argmax(), best[0]])
        color = OTHER if overlap.max() < 0.5 else TRUTH if right else _WRONG
        lines = [f'{scores[action]:.2f} {names[action]}' for action in best]
        persons.append(Person(box, lines, color))
    return persons
