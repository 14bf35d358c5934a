"""Post-pretraining in minutes: shards of Moving Shapes, four systems, one table."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch

from mmstan.benchmark.figures import Figure
from mmstan.benchmark.runs import find_last_checkpoint, run, train_once
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
_CHANCE = dict(aligned=100 * 5 / 320, misaligned=100 * 5 / 160)  # R@5 in per cent of test videos


def run_pretraining() -> list[Figure]:
    """Render, prepare shards, train all systems, resume one of them, test; returns the figures.

    Stages that are done are not done again.

    Raises:
        RuntimeError: A system is no better than chance, or the resumed run has another log than
            the uninterrupted one.
    """
    generate(size='small', tasks=['retrieval', 'misaligned'])
    # Two runs of one thread each take less time than one after the other with two threads.
    os.environ['OMP_NUM_THREADS'] = '1'
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        shards, start = pool.submit(write_shards), pool.submit(train_start)
        shards.result()
        towers = start.result()
        whole = pool.submit(train_system, 'mug_stan', towers)  # the longest first
        others = {stem: pool.submit(train_system, stem, towers) for stem in ('mug', 'stan')}
        resumed = pool.submit(train_second_half, whole, towers)
        others['mean'] = pool.submit(train_system, 'mean', towers)
        seconds = {stem: job.result() for stem, job in (others | {'mug_stan': whole}).items()}
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


def train_second_half(whole: Future[float], towers: Path) -> None:
    """Train the second half of Mug-STAN again, when it is done, from its checkpoint at half."""
    whole.result()
    half = min((OUT / 'mug_stan').glob('iter_*.pth'), key=lambda path: int(path.stem[5:]))
    options = ['--resume', str(half), *_make_options(towers)]
    train_once(find_config('mug_stan'), OUT / 'mug_stan_resumed', *options)


def compare_logs(whole: Path, resumed: Path) -> None:
    """Raise RuntimeError unless the resumed run has the whole one's losses, to the last digit."""
    first, second = read_losses(whole), read_losses(resumed)
    expected = {step: loss for step, loss in first.items() if step >= min(second, default=0)}
    if second != expected:
        raise RuntimeError(
            f'{resumed} went on from a checkpoint of {whole}, and their losses differ: '
            f'{sorted(expected.items() ^ second.items())[:4]}'
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
            raise RuntimeError(f'{name}: {data} R@5 is {found:.4g} %, and chance {chance:.4g} %')
