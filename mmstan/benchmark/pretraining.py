"""Post-pretraining in minutes: shards of Moving Shapes, four systems, one table."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from mmstan.benchmark.figures import Figure
from mmstan.benchmark.runs import find_last_checkpoint, lock_run, run, train_once
from mmstan.benchmark.zero_shot_shapes import COLUMNS, score_zero_shot
from mmstan.compat.checkpoints import load_file
from mmstan.config.paths import find_shipped
from mmstan.config.toy import take_towers
from mmstan.datasets.moving_shapes import generate

OUT = Path('work_dirs/pretraining')
DATA = Path('data/moving_shapes/small')
SYSTEMS = {
    'mean of the frames': 'mean',
    'STAN, mean': 'stan',
    'Mug without STAN': 'mug',
    'Mug-STAN': 'mug_stan',
}
"""Row of the table -> its config, ``configs/quickstart/pretraining_*.py``."""
_CHANCE = dict(aligned=1.6, misaligned=3.1)  # R@5 in per cent


def run_pretraining() -> list[Figure]:
    """Render, prepare shards, train all systems, resume one of them, test; returns the figures.

    Stages that are done are not done again.

    Raises:
        RuntimeError: A system is no better than chance, or the resumed run has another log than
            the uninterrupted one.
    """
    generate(size='small', tasks=['retrieval', 'misaligned'])
    write_shards()
    towers = train_start()
    # Two runs of one thread each take less time than one after the other with two threads.
    os.environ['OMP_NUM_THREADS'] = '1'
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        jobs = {stem: pool.submit(train_system, stem, towers) for stem in SYSTEMS.values()}
        resumed = pool.submit(train_with_a_stop, towers)
        seconds = {stem: job.result() for stem, job in jobs.items()}
        resumed.result()
    compare_logs(OUT / 'mug_stan', OUT / 'mug_stan_resumed')
    return list(_measure(seconds))


def write_shards() -> None:
    """Put the misaligned training clips into six shards, ``tools/prepare_videos.py``."""
    source = DATA / 'misaligned'
    options = ['--shard-size', '500', '--workers', str(min(os.cpu_count() or 1, 6))]
    where = [str(source / 'train.json'), str(DATA / 'pretraining'), '--videos', str(source)]
    run('prepare_videos.py', *where, *options)


def train_start() -> Path:
    """Train the stand-in for CLIP on the aligned data; returns the file of its towers."""
    work_dir = OUT / 'start'
    train_once(find_config('start'), work_dir, '--no-validate')
    path = work_dir / 'towers.pt'
    if not path.exists():
        state = load_file(find_last_checkpoint(work_dir))['state_dict']
        torch.save(take_towers(state), path.with_suffix('.part'))
        path.with_suffix('.part').replace(path)
    return path


def find_config(stem: str) -> Path:
    """The config of a system, relative to the current folder."""
    return Path(os.path.relpath(find_shipped('configs'))) / f'quickstart/pretraining_{stem}.py'


def _make_options(towers: Path) -> list[str]:
    """Start from these towers; scores come at the end, of all systems in one process."""
    keys = ('model.backbone.tower.pretrained', 'model.text_tower.pretrained')
    return ['--no-validate', '--cfg-options', *(f'{key}={towers}' for key in keys)]


def train_system(stem: str, towers: Path) -> float:
    """Post-pretrain a system on the shards; returns the seconds."""
    return train_once(find_config(stem), OUT / stem, *_make_options(towers))


def train_with_a_stop(towers: Path) -> None:
    """Train Mug-STAN, kill the process behind its first checkpoint, and go on from there."""
    work_dir = OUT / 'mug_stan_resumed'
    with lock_run(work_dir):
        if (work_dir / 'finished').exists():
            return
        shutil.rmtree(work_dir, ignore_errors=True)
        config, options = find_config('mug_stan'), _make_options(towers)
        tool = str(find_shipped('tools') / 'train.py')
        command = [sys.executable, tool, str(config), '--work-dir', str(work_dir), *options]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            while process.poll() is None and not (work_dir / 'last_checkpoint').exists():
                time.sleep(0.2)
            process.send_signal(signal.SIGKILL)
        run('train.py', str(config), '--work-dir', str(work_dir), '--resume', *options)
        (work_dir / 'finished').touch()


def compare_logs(whole: Path, resumed: Path) -> None:
    """Raise RuntimeError unless the runs have the same losses, to the last digit."""
    first, second = read_losses(whole), read_losses(resumed)
    if first != second:
        raise RuntimeError(
            f'{resumed} was stopped and resumed, and its losses differ from those of {whole}: '
            f'{sorted(first.items() ^ second.items())[:4]}'
        )


def read_losses(work_dir: Path) -> dict[int, float]:
    """Iteration -> logged loss, of all starts of a run; a later start has the last word."""
    losses: dict[int, float] = {}
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in map(json.loads, path.read_text('utf-8').splitlines()):
            if 'loss' in line:
                losses[line['step']] = line['loss']
    return losses


def _measure(seconds: dict[str, float]) -> Iterator[Figure]:
    """Score the stand-in and each system on the test videos."""
    rows = [('the start: mean of the frames', 'mean', 'start'), ('the start: Mug', 'mug', 'start')]
    rows += [(name, stem, stem) for name, stem in SYSTEMS.items()]
    for name, config, stem in rows:
        scores = score_zero_shot(find_config(config), find_last_checkpoint(OUT / stem))
        for column, unit in COLUMNS.items():
            yield name, column, scores[column], unit
        if stem != 'start':
            _refuse_chance(name, scores)
            yield name, 'training', round(seconds[stem]), 's'


def _refuse_chance(name: str, scores: dict[str, float]) -> None:
    for data, chance in _CHANCE.items():
        found = scores[f'{data} R@5']
        if found <= chance:
            raise RuntimeError(f'{name}: {data} R@5 is {found:.1f} %, and chance {chance} %')
