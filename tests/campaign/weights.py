"""Wrong, hostile and mutated files of weights at every door."""

from __future__ import annotations

import contextlib
import logging
import pickle
import random
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from campaign.figures import Figures
from helpers.weight_doors import ALL_DOORS, Doors
from helpers.weight_files import HOSTILE, wrong_for
from mmengine.logging import HistoryBuffer, MMLogger
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mmstan.compat.closed import read_file, read_plain_pickle

SECONDS, MEGABYTES = 60, 512
"""What a trial may take; the memory beside four times the file."""

SAID = {
    'features.pth': ': the features are made again',
    'last_checkpoint': 'last_checkpoint names no file',
}
"""What is said at doors where a damaged file does not end the run."""


class TooLong(BaseException):
    """A trial hangs. No reader may take it for an error of the file."""


def run(count: int, seed: int, folder: Path) -> Iterator[Figures]:
    """Every hostile file at every door, and ``count`` mutated files at the reader."""
    warnings.simplefilter('ignore')  # that TorchScript is deprecated
    with contextlib.redirect_stdout(None):
        doors = Doors(folder / 'doors')
    yield try_hostile(doors, folder)
    yield try_misfits(doors, folder)
    yield try_mutated(count, random.Random(seed), folder)


# --- at the doors ---


def try_hostile(doors: Doors, folder: Path) -> Figures:
    """Files that are no checkpoints, or ask for code or memory."""
    figures = Figures('weights, hostile')
    for name, write in HOSTILE.items():
        for door in ALL_DOORS:
            file = folder / f'{name.replace(" ", "_")}_{figures.tried}.pth'
            write(file)
            outcome, why = _open(doors, door, file)
            if file.with_suffix('.ran').exists():
                outcome, why = 'wrong', 'its code ran'
            if outcome == 'right' and SAID.get(door) is None:
                outcome = 'wrong'
            elif outcome == 'right' and name != 'folder':  # a folder is not put there
                outcome = 'right' if SAID[door] in why else 'wrong'
            figures.count(outcome, f'{name} at {door}: {why[-300:]}')
    return figures


def try_misfits(doors: Doors, folder: Path) -> Figures:
    """Checkpoints of another model, and wrapped ones of this model, which are right."""
    figures = Figures('weights, misfits')
    for door in ALL_DOORS:
        if door in ('pretrained', 'convert_checkpoint.py', *SAID):
            continue  # take other kinds of files
        state = doors.states['retrieval' if door == 'retrieve.py' else 'recognition']
        wrapped = {f'module._orig_mod.{name}': value for name, value in state.items()}
        contents: dict[str, Any] = {**wrong_for(state), 'wrapped': {'model': wrapped}}
        for name, content in contents.items():
            file = folder / f'misfit_{figures.tried}.pth'
            torch.save(content, file)
            outcome, why = _open(doors, door, file)
            # A run goes on from a run only, and a test is asked to unwrap.
            takes = name == 'wrapped' and door not in ('--resume', 'test.py')
            if (outcome == 'right') != takes:
                outcome = outcome if outcome in ('unclear', 'crashed') else 'wrong'
            figures.count(outcome, f'{name} at {door}: {why[-300:]}')
    return figures


def _open(doors: Doors, door: str, file: Path) -> tuple[str, str]:
    """The outcome where ``file`` is given at ``door``, and what was said."""

    def enter() -> tuple[str, str]:
        status, said = doors.open(door, file)
        if status == 0:
            return 'right', said
        last = said.strip().splitlines()[-1] if said.strip() else ''
        named = last.startswith('error: ') and str(file) in last and len(last) < 2000
        return 'refused' if named and 'Traceback' not in said else 'unclear', said

    return _watched(enter, file)


def _watched(enter: Callable[[], tuple[str, str]], file: Path) -> tuple[str, str]:
    """An outcome, or that it took too long or too much memory, or raised something else."""

    def stop(*_: Any) -> None:
        raise TooLong(f'more than {SECONDS} seconds')

    signal.signal(signal.SIGALRM, stop)
    before = _reset_peak()
    signal.alarm(SECONDS)
    try:
        outcome, why = enter()
    except TooLong as error:
        outcome, why = 'crashed', str(error)
    except BaseException:
        outcome, why = 'unclear', traceback.format_exc()
    signal.alarm(0)
    size = file.stat().st_size if file.is_file() else 0
    taken = (_memory('VmHWM') - before) / 2**20
    if taken > MEGABYTES + 4 * size / 2**20:
        return 'crashed', f'{taken:.0f} MB were taken'
    return outcome, why


def _reset_peak() -> int:
    """Forget the peak of the process's memory; how much it has now, in bytes."""
    Path('/proc/self/clear_refs').write_text('5')
    return _memory('VmRSS')


def _memory(field: str) -> int:
    lines = Path('/proc/self/status').read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


# --- mutated files ---


class Small(nn.Module):
    """Two layers, for TorchScript."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def _content() -> dict[str, Any]:
    state = {f'layers.{i}.weight': torch.randn(4, 3) for i in range(4)}
    state['half'] = torch.randn(5).half()
    logs = dict(loss=HistoryBuffer([1.0, 0.5], [1, 1]))
    return dict(state_dict=state, meta=dict(epoch=1), message_hub=logs, rng=[np.float32(0.5)])


def _script(path: Path) -> None:
    torch.jit.save(torch.jit.script(Small()), str(path))


def _old_format(path: Path) -> None:
    torch.save(_content()['state_dict'], path, _use_new_zipfile_serialization=False)


Step = Callable[[Path], Any]
FORMATS: dict[str, tuple[Step, Step, Step | None]] = {
    'archive': (lambda path: torch.save(_content(), path), read_file, None),
    'torchscript': (_script, read_file, None),
    'old format': (_old_format, read_file, lambda path: torch.load(path, weights_only=True)),
    'safetensors': (
        lambda path: save_file(_content()['state_dict'], path),
        read_file,
        load_file,
    ),
    'predictions': (
        lambda path: path.write_bytes(pickle.dumps([dict(a=torch.ones(3), b=(1, 'x'))] * 3, 2)),
        read_plain_pickle,
        lambda path: pickle.loads(path.read_bytes()),
    ),
}
"""Format -> (write, read, an independent reader; None: checksums let only the original pass)."""


def try_mutated(count: int, rng: random.Random, folder: Path) -> Figures:
    """Files whose bytes were changed: read as another reader does, or refused."""
    figures = Figures('weights, mutated')
    torch.manual_seed(rng.randrange(2**31))
    MMLogger.get_current_instance().setLevel(logging.ERROR)
    whole = {}
    for name, (write, read, _) in FORMATS.items():
        path = folder / f'whole_{name.replace(" ", "_")}'
        write(path)
        whole[name] = path.read_bytes(), read(path)
    for number in range(count):
        name = list(FORMATS)[number % len(FORMATS)]
        _, read, other = FORMATS[name]
        data, original = whole[name]
        file = folder / 'mutated.pth'
        file.write_bytes(mutate(data, rng, [x for x, _ in whole.values()]))

        def enter() -> tuple[str, str]:
            try:
                content = read(file)  # noqa: B023  (called in this round)
            except ValueError as error:
                clear = str(file) in str(error) and '\n' not in str(error)  # noqa: B023
                return 'refused' if clear else 'unclear', str(error)
            try:
                expected = original if other is None else other(file)  # noqa: B023
            except Exception as error:  # whatever the other reader raises
                return 'wrong', f'read, and by the other reader not: {error}'
            return 'right' if same(content, expected) else 'wrong', 'read as something else'

        outcome, why = _watched(enter, file)
        figures.count(outcome, f'{name}, file {number}: {why[-300:]}')
    return figures


def mutate(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """``data`` with bytes flipped, cut off, left out, doubled, zeroed, or from another file."""
    out = bytearray(data)
    start = rng.randrange(len(out))
    stop = min(len(out), start + rng.choice([1, 4, 16, 64, 256]))
    kind = rng.choice(['flip', 'flip', 'flip', 'cut', 'leave out', 'double', 'zero', 'splice'])
    if kind == 'flip':
        for _ in range(rng.choice([1, 1, 2, 8])):
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    elif kind == 'cut':
        del out[start:]
    elif kind == 'leave out':
        del out[start:stop]
    elif kind == 'double':
        out[start:start] = out[start:stop]
    elif kind == 'zero':
        out[start:stop] = bytes(stop - start)
    else:
        other = rng.choice(others)
        place = rng.randrange(len(other))
        out[start:stop] = other[place : place + stop - start]
    return bytes(out)


def same(ours: Any, theirs: Any) -> bool:
    """Whether two contents are equal to the bit."""
    if isinstance(theirs, Tensor):
        if not isinstance(ours, Tensor) or (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
            return False
        pair = (x.detach().contiguous().flatten().view(torch.uint8) for x in (ours, theirs))
        return torch.equal(*pair)
    if isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(same(ours[k], v) for k, v in theirs.items())
    if isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, HistoryBuffer):
        return same(list(ours.data), list(theirs.data))
    if isinstance(theirs, np.ndarray):
        return np.array_equal(ours, theirs)
    return ours == theirs or (ours != ours and theirs != theirs)
