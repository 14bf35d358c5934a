"""Kills and signals at random moments: what goes on afterwards equals what was not interrupted."""

from __future__ import annotations

import filecmp
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from campaign.figures import Figures
from helpers.resumed_run import make_config, read_losses, use_shards
from helpers.shortcuts import install
from mmengine.runner import Runner

from mmstan.datasets.moving_shapes import encode, generate

_fork = multiprocessing.get_context('fork')  # importing takes longer than what is killed
_PATIENCE = 120  # seconds until a process counts as hung


def run(count: int, seed: int, folder: Path) -> Iterator[Figures]:
    """One line for each of four kinds, of a hundredth of ``count`` kills, at least two."""
    draw = random.Random(seed)
    kills = max(2, count // 100)
    with pytest.MonkeyPatch.context() as patch:
        # Of the start of a run, which takes longer than its training.
        install(patch)
        patch.setattr(Runner, '_log_env', lambda *_: None)
        for number in (signal.SIGKILL, signal.SIGTERM):
            yield _kill_trainings(number, kills, draw, folder / number.name, _train)
        name = 'SIGKILL on shards'
        yield _kill_trainings(
            signal.SIGKILL, kills, draw, folder / 'shards', _train_on_shards, name
        )
    yield _kill_renderings(kills, draw, folder / 'shapes')


def _kill_trainings(
    number: signal.Signals,
    kills: int,
    draw: random.Random,
    folder: Path,
    train: Callable[..., None],
    name: str = '',
) -> Figures:
    figures = Figures(name or f'{number.name} in training')
    losses = folder / 'whole/losses.txt'
    training = _fork.Process(target=_quietly, args=(train, losses.parent))
    training.start()
    _wait_for(losses, training)
    start = time.monotonic()
    training.join()
    seconds = time.monotonic() - start
    for trial in range(kills):
        # From the end of the first iteration to that of the last validation.
        place, moment = folder / str(trial), draw.uniform(0, 1) * seconds
        ended = _run_apart(train, place, number=number, after=moment, file='losses.txt')
        again = _run_apart(train, place)
        what = f'after {moment:.2f} of {seconds:.2f} s: exit {ended}, then {again}'
        figures.count(_judge_training(read_losses(losses), place, number, ended, again), what)
    return figures


def _judge_training(
    whole: list[tuple[int, float]], place: Path, number: int, ended: int, again: int
) -> str:
    """Every iteration was trained, and whenever it was, with the loss of the whole run."""
    died = -signal.SIGKILL if number == signal.SIGKILL else 128 + number
    # Behind the end of training SIGTERM is what it is everywhere.
    if again != 0 or ended not in (died, -number, 0):
        return 'crashed'
    losses = read_losses(place / 'losses.txt')
    if set(losses) != set(whole):
        return 'wrong'
    # A stop loses nothing: no iteration is trained twice.
    stopped = ended == 128 + signal.SIGTERM
    return 'wrong' if stopped and len(losses) != len(whole) else 'right'


def _train_on_shards(folder: Path) -> None:
    _train(folder, shards=True)


def _train(folder: Path, *, shards: bool = False) -> None:
    torch.set_num_threads(1)
    cfg = make_config(folder, num_workers=2)
    if shards:
        use_shards(cfg, folder)
    cfg.resume = True
    cfg.experiment_name = f'{folder.parent.name}-{folder.name}-{os.getpid()}'
    Runner.from_cfg(cfg).train()


def _kill_renderings(kills: int, draw: random.Random, folder: Path) -> Figures:
    figures = Figures('kill -9 in rendering')
    start = time.monotonic()
    _run_apart(_render, folder / 'whole')
    seconds = time.monotonic() - start
    for trial in range(kills):
        place = folder / str(trial)
        if trial % 2:  # what other parameters made is there, and is removed
            _run_apart(_render, place, seed=1)
        # The first moments, in which the folder is made, as often as all others.
        share = draw.uniform(0, 0.05) if trial % 4 < 2 else draw.uniform(0, 1)
        _run_apart(_render, place, number=signal.SIGKILL, after=share * seconds)
        again = _run_apart(_render, place)
        outcome = _judge_rendering(folder / 'whole', place) if again == 0 else 'crashed'
        figures.count(outcome, f'trial {trial}, after {share * seconds:.3f} s: then exit {again}')
    return figures


def _judge_rendering(whole: Path, place: Path) -> str:
    names = sorted(str(path.relative_to(whole)) for path in whole.rglob('*') if path.is_file())
    found = sorted(str(path.relative_to(place)) for path in place.rglob('*') if path.is_file())
    same = filecmp.cmpfiles(whole, place, names, shallow=False)[0]
    return 'right' if found == names and len(same) == len(names) else 'wrong'


def _render(folder: Path, seed: int = 0) -> None:
    encode._CLIPS_PER_WORKER = 1  # type: ignore[attr-defined]  # so that there are workers to lose
    generate(folder, size='tiny', seed=seed, tasks=['retrieval'], workers=2)


def _run_apart(
    function: Callable[..., None],
    folder: Path,
    *,
    number: int | None = None,
    after: float = 0,
    file: str | None = None,
    **arguments: Any,
) -> int:
    """Call it in a process of its own; its exit status.

    It gets a signal ``after`` seconds, counted from its start or from when ``file`` is there.
    """
    process = _fork.Process(target=_quietly, args=(function, folder), kwargs=arguments)
    process.start()
    if number is not None:
        if file is not None:
            _wait_for(folder / file, process)
        process.join(after)
        with suppress(ProcessLookupError):
            os.kill(process.pid or 0, number)
    process.join(_PATIENCE)
    if process.exitcode is None:
        process.kill()
        process.join()
        return 1
    return process.exitcode


def _wait_for(file: Path, process: Any) -> None:
    while process.is_alive() and not file.exists():
        time.sleep(0.005)


def _quietly(function: Callable[..., None], folder: Path, **arguments: Any) -> None:
    """What it says is in ``folder.txt``."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f'{folder}.txt', 'a') as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    function(folder, **arguments)
