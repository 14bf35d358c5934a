"""Mutated annotation files at every reader: ``python tests/campaign/run.py annotations``.

``count`` files a reader. Each trial runs in a child process with a limit of memory and of time. It
is right where what is read equals the reference's reading, wrong where it differs or where the
reference refuses; an error is clear where it is a ValueError or OSError of one line that names the
file. Mutations that leave the meaning (a mark, other line ends, blank lines at the end) must be
read.
"""

from __future__ import annotations

import logging
import os
import pickle
import random
import resource
import signal
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from campaign.annotation_formats import FORMATS, Format
from campaign.annotation_mutations import KEEPS_MEANING, mutate
from campaign.annotation_texts import IDS, VIDEOS, as_json
from campaign.figures import Figures

_SECONDS, _MEMORY = 10, 1 << 30
Outcome = tuple[str, str]


def run(count: int, seed: int, folder: Path) -> Iterator[Figures]:
    """Figures of each reader.

    Args:
        count: Files a reader.
        seed: Of the mutations.
        folder: An empty folder.
    """
    videos = folder / 'videos'
    for name in (*VIDEOS, *(f'{name}.mp4' for name in IDS)):
        (videos / name).parent.mkdir(parents=True, exist_ok=True)
        (videos / name).touch()
    sentences = [dict(video_id=v, caption=t) for t in ('a man, who sings', 'two dogs') for v in IDS]
    (folder / 'data.json').write_bytes(as_json(dict(sentences=sentences)))
    for kind in FORMATS:
        figures = Figures(kind.name)
        for trial, outcome in _try_all(kind, count, seed, folder):
            figures.count(outcome[0], f'file {trial}: {outcome[1]}')
        yield figures


def _try_all(kind: Format, count: int, seed: int, folder: Path) -> Iterator[tuple[int, Outcome]]:
    """Outcomes in turn; a child that dies is one, and another one goes on after it."""
    trial = 0
    while trial < count:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            _serve(kind, range(trial, count), seed, folder, writing)
        os.close(writing)
        with os.fdopen(reading, 'rb') as pipe:
            while trial < count and (outcome := _receive(pipe)):
                yield trial, outcome
                trial += 1
        status = os.waitpid(child, 0)[1]
        if trial < count:
            yield trial, ('crashed', f'the process ended with status {status}')
            trial += 1


def _receive(pipe: Any) -> Outcome | None:
    try:
        return pickle.load(pipe)
    except EOFError:
        return None


def _serve(kind: Format, trials: range, seed: int, folder: Path, writing: int) -> None:
    """Run trials in this child and end it."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter('ignore')
    used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, -1))
    signal.signal(signal.SIGALRM, _too_slow)
    with os.fdopen(writing, 'wb') as pipe:
        for trial in trials:
            pickle.dump(_try_one(kind, random.Random(f'{seed} {kind.name} {trial}'), folder), pipe)
            pipe.flush()
    os._exit(0)


def _too_slow(*_: Any) -> None:
    raise TimeoutError('too slow')


def _try_one(kind: Format, rng: random.Random, folder: Path) -> Outcome:
    path = folder / kind.file
    mutation, data = mutate(kind, rng)
    path.write_bytes(data)
    signal.alarm(_SECONDS)
    found, error = _attempt(lambda: kind.read(path, folder / 'videos'))
    signal.alarm(0)
    wanted, refused = _attempt(lambda: kind.refer(data if mutation != 'pickle_hostile' else b''))
    what = f'{mutation}: {data[:60]!r}'
    if isinstance(error, (MemoryError, TimeoutError)):
        return 'crashed', f'{what}: {error!r}'
    if error:
        message = str(error)
        clear = isinstance(error, (ValueError, OSError)) and kind.file in message
        if not clear or '\n' in message:
            return 'unclear', f'{what}: {type(error).__name__}: {message[:200]}'
        if mutation in KEEPS_MEANING:
            return 'unclear', f'{what}: refused, but it means the same: {message[:200]}'
        return 'refused', ''
    if mutation in KEEPS_MEANING:
        wanted, refused = kind.refer(kind.content), None
    if refused:
        return 'wrong', f'{what}: read as {str(found)[:200]}, the reference: {refused!r}'[:400]
    if found != wanted:
        return 'wrong', f'{what}: read as {str(found)[:200]}, not {str(wanted)[:200]}'
    return 'right', ''


def _attempt(action: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return action(), None
    except Exception as error:  # every kind of them is an outcome
        return None, error
