"""The tables and the picture of the quickstart of action detection."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.shipped_configs import load
from mmaction.registry import DATASETS
from PIL import Image

from mmstan.benchmark import detection_quickstart
from mmstan.benchmark.detection_quickstart import (
    SYSTEMS,
    draw_results,
    find_config,
    format_seed,
    format_table,
)
from mmstan.benchmark.runs import read_detection_figures, show_progress
from mmstan.config.tiny import make_tiny

FIGURES = {
    'CLIP mean': [dict(motion=0.5, colour=1.0, mAP=0.66, seconds=61.0)] * 2,
    'STAN': [
        dict(motion=0.9, colour=0.99, mAP=0.93, seconds=90.0),
        dict(motion=0.96, colour=1.0, mAP=0.97, seconds=91.0),
    ],
}


def test_a_line_a_seed() -> None:
    assert format_seed(3, {name: runs[0] for name, runs in FIGURES.items()}) == (
        'seed 3  CLIP mean: motion 50.0, colour 100.0, mAP 66.0 (61 s)  '
        'STAN: motion 90.0, colour 99.0, mAP 93.0 (90 s)'
    )


def test_the_table_has_means_and_each_seed() -> None:
    head, _, *rows = format_table(FIGURES, [0, 1]).splitlines()
    assert head == '|  | motion | colour | mAP | motion, seed 0 | motion, seed 1 |'
    assert rows[1] == '| STAN | 93.0 | 99.5 | 95.0 | 90.0 | 96.0 |'
    assert len(format_table({'STAN': FIGURES['STAN'][:1]}, [0]).splitlines()[0].split('|')) == 6


@pytest.mark.parametrize('stem', SYSTEMS.values())
def test_systems_are_configs(stem: str) -> None:
    assert find_config(stem).is_file()


def test_figures_and_progress(tmp_path: Path) -> None:
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a/a.json').write_text(json.dumps({'detection/mAP': 0.9, 'detection/motion': 0.8}))
    assert read_detection_figures(tmp_path) == dict(mAP=0.9, motion=0.8)
    line = 'Epoch(val) [1][5/5]    detection/mAP: 0.2534  data_time: 0.0435'
    assert show_progress(line) == 'on the test videos: 25.3 mAP'


def test_the_picture_has_right_and_wrong_motions(
    moving_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first system is right about everything, the second about no motion."""
    monkeypatch.chdir(tmp_path)
    Path('data/moving_shapes').mkdir(parents=True)
    Path('data/moving_shapes/small').symlink_to(moving_shapes)
    cfg = make_tiny(load('quickstart/detection_stan.py'), data=moving_shapes.parent)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    samples = [dataset[i]['data_samples'].to_dict() for i in range(4)]
    for name, shift in (('right', 0), ('wrong', 1)):
        for sample in samples:
            truth = sample['gt_instances']
            scores = truth['labels'].clone()
            scores[:, 1:9] = scores[:, 1:9].roll(shift, dims=1)
            sample['pred_instances'] = dict(bboxes=truth['bboxes'] / 48, scores=scores)
        Path(name).mkdir()
        torch.save(samples, Path(name, 'predictions.pkl'))
    monkeypatch.setattr(
        detection_quickstart, 'read_plain_pickle', lambda path: torch.load(path, weights_only=False)
    )
    draw_results(tmp_path / 'drawn.png', {name: tmp_path / name for name in ('right', 'wrong')})
    with Image.open(tmp_path / 'drawn.png') as file:
        image = np.asarray(file.convert('RGB')).astype(int)
    thirds = np.array_split(image, 3, axis=1)
    red, green = (
        [(np.abs(part - color).max(-1) < 12).sum() for part in thirds]
        for color in ((207, 34, 46), (26, 127, 55))
    )
    assert min(green[:2]) > 1000 and green[2] < 200  # the shapes have green pixels of their own
    assert max(red[:2]) < 200 and red[2] > 1000
