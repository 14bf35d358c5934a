"""The quickstart: render Moving Shapes, train, test and draw the results."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from mmengine.config import Config

from mmstan.benchmark.runs import (
    find_last_checkpoint,
    read_predictions,
    read_retrieval_figures,
    run,
    train_and_test,
)
from mmstan.config.paths import find_shipped
from mmstan.datasets.moving_shapes import CLASS_NAMES, generate
from mmstan.datasets.transforms import ReadFrames
from mmstan.visualization import Strip, count_confusions, draw_recognition

OUT = Path('work_dirs/quickstart')


SYSTEMS = {'CLIP mean': 'clip_mean', 'STAN': 'stan'}


RETRIEVAL = 'retrieval_stan'


def draw_results(path: Path) -> None:
    """Draw one video of each class, and the confusion matrices, into ``path``."""
    results = {name: read_predictions(OUT / stem) for name, stem in SYSTEMS.items()}
    dataset = Config.fromfile(_configs() / 'clip_mean.py').test_dataloader.dataset
    files = [line.split()[0] for line in Path(dataset.ann_file).read_text().splitlines()]
    read = ReadFrames(dataset.pipeline[0]['sampler'], backend='pyav')
    truth = next(iter(results.values()))[0]
    strips = []
    for label, name in enumerate(CLASS_NAMES):
        index = int(np.flatnonzero(truth == label)[0])
        video = Path(dataset.data_prefix.video, files[index])
        frames = np.stack(read({'filename': str(video)})['imgs'])
        said = {model: CLASS_NAMES[results[model][1][index]] for model in results}
        strips.append(Strip(frames, name, said))
    matrices = {
        model: count_confusions(*pair, classes=len(CLASS_NAMES)) for model, pair in results.items()
    }
    draw_recognition(path, strips, matrices, CLASS_NAMES)


def run_recognition() -> str:
    """Train, test and draw both recognition systems; returns the text table."""
    generate(size='small', tasks=['recognition'])
    figures = {
        name: train_and_test(_configs() / f'{stem}.py', OUT / stem)
        for name, stem in SYSTEMS.items()
    }
    draw_results(OUT / 'recognition.png')
    rows = [f'{"":12}{"top-1":>8}{"motion without direction":>28}{"training":>12}']
    for name, row in figures.items():
        shares = f'{100 * row["top-1"]:>7.1f}%{100 * row["pair"]:>27.1f}%'
        rows.append(f'{name:12}{shares}{row["seconds"]:>10.0f} s')
    return '\n'.join(rows)


def run_retrieval() -> str:
    """Train and test text-to-video retrieval, draw one query; returns the text table."""
    generate(size='small', tasks=['retrieval'])
    config, work_dir = _configs() / f'{RETRIEVAL}.py', OUT / RETRIEVAL
    row = train_and_test(config, work_dir, figures=read_retrieval_figures)
    drawing, out = work_dir / 'drawing', OUT / 'retrieval.png'
    options = ['--index', '0', '--out', str(out), '--work-dir', str(drawing)]
    run('retrieve.py', str(config), find_last_checkpoint(work_dir), *options)
    keys = ['t2v/R1', 't2v/R5', 't2v/R10', 't2v/MdR', 'v2t/R1']
    cells = ''.join(f'{row[key]:>10.1f}' for key in keys)
    return (
        f'{"":12}{"".join(f"{key:>10}" for key in keys)}{"training":>12}\n'
        f'{"STAN":12}{cells}{row["seconds"]:>10.0f} s'
    )


def _configs() -> Path:
    """The folder of the quickstart's configs, relative to the current folder."""
    return Path(os.path.relpath(find_shipped('configs'))) / 'quickstart'
