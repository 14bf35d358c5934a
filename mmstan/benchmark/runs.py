"""Run each training and test once, in its own process."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock
from mmengine.config import Config

from mmstan.config.paths import find_shipped
from mmstan.config.walk import walk
from mmstan.evaluation import read_dump

Figures = Callable[[Path], dict[str, float]]


_TRAINED = re.compile(r'Epoch\(train\) *\[(\d+)\]\[ *(\d+)/(\d+)\].* eta: (\S+).* loss: (\S+)')


_ACCURACY = re.compile(r'Epoch\((?:val|test)\).*acc/top1: (\S+)')


_PRECISION = re.compile(r'Epoch\((?:val|test)\).* detection/mAP: (\S+)')


_RECALL = re.compile(r'Epoch\((?:val|test)\).* retrieval/t2v/R1: (\S+)')


def show_progress(line: str) -> str | None:
    """The progress line to print for a line of the log, or None."""
    if match := _TRAINED.search(line):
        epoch, step, steps, eta, loss = match.groups()
        return f'epoch {epoch}, step {step:>3} of {steps}: loss {loss}, {eta} to go'
    if match := _ACCURACY.search(line):
        return f'on the test videos: {100 * float(match[1]):.1f} % top-1'
    if match := _PRECISION.search(line):
        return f'on the test videos: {100 * float(match[1]):.1f} mAP'
    if match := _RECALL.search(line):
        return f'on the test videos: {float(match[1]):.1f} % of the captions find theirs first'
    return None


def run(tool: str, *args: str) -> None:
    """Run ``tools/TOOL`` and print its progress; if it fails, exit with the end of its log."""
    command = [sys.executable, os.path.relpath(find_shipped('tools') / tool), *args]
    print('$ python', ' '.join(command[1:]), flush=True)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    for line in process.stdout or ():
        lines.append(line)
        if shown := show_progress(line):
            print('   ', shown, flush=True)
    if process.wait():
        raise SystemExit(''.join(lines[-40:]) + f'\n{" ".join(command)} failed')


@contextmanager
def lock_run(work_dir: Path) -> Iterator[None]:
    """Within, no other process is in this block with the same folder; waits for its turn."""
    work_dir.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(work_dir.with_name(f'{work_dir.name}.lock')):
        yield


def train_and_test(
    config: Path, work_dir: Path, *options: str, figures: Figures | None = None
) -> dict[str, float]:
    """Train and test a config, unless ``result.json`` has its figures; returns the figures.

    Args:
        config: Path of the config.
        work_dir: Folder of this run alone; emptied when the config, the options or the data change.
        *options: Options of ``tools/train.py``.
        figures: Reads the figures from the work dir of a finished test; by default recognition's.

    Two processes with the same work dir wait for one another.
    """
    with lock_run(work_dir):
        return _train_and_test(config, work_dir, *options, figures=figures)


def train_once(config: Path, work_dir: Path, *options: str) -> float:
    """Train a config as :func:`train_and_test` does, without a test; returns the seconds."""
    with lock_run(work_dir):
        return _train_and_test(config, work_dir, *options, figures=None, test=False)['seconds']


def _train_and_test(
    config: Path, work_dir: Path, *options: str, figures: Figures | None, test: bool = True
) -> dict[str, float]:
    result = work_dir / 'result.json'
    # Figures of another config, other options or other data are deleted with their checkpoints.
    what = fingerprint_run(config, *options)
    made_from = work_dir / 'made_from.txt'
    if not made_from.exists() or made_from.read_text() != what:
        shutil.rmtree(work_dir, ignore_errors=True)
        work_dir.mkdir(parents=True)
        made_from.write_text(what)
    if (known := read_result(result)) is None:
        known = dict(seconds=_train(config, work_dir, *options))
        if test:
            dump = work_dir / 'predictions.pkl'
            where = ['--work-dir', str(work_dir), '--dump', str(dump)]
            run('test.py', str(config), find_last_checkpoint(work_dir), *where)
            known = {**(figures or compute_recognition_figures)(work_dir), **known}
        _write_result(result, known)
    return known


def _train(config: Path, work_dir: Path, *options: str) -> float:
    """Train, or go on with a training that was stopped; returns the seconds of all its starts."""
    stopped = work_dir / 'stopped.json'
    before, start = (read_result(stopped) or {}).get('seconds', 0.0), time.time()
    try:
        run('train.py', str(config), '--work-dir', str(work_dir), '--resume', *options)
    finally:
        seconds = before + time.time() - start
        _write_result(stopped, dict(seconds=seconds))
    return seconds


def _write_result(path: Path, figures: dict[str, float]) -> None:
    written = path.with_suffix('.tmp')  # renamed at the end: never half a file
    written.write_text(json.dumps(figures, indent=1) + '\n')
    written.replace(path)


def read_result(path: Path) -> dict[str, float] | None:
    """The figures of a finished run, or None; a message reports a damaged file."""
    if not path.exists():
        return None
    try:
        figures = json.loads(path.read_text())
        if not isinstance(figures, dict):
            raise ValueError(f'a {type(figures).__name__}')
    except ValueError as error:
        print(f'{path} holds no figures ({error}): they are made again')
        return None
    return figures


def find_last_checkpoint(work_dir: Path) -> str:
    """Relative path of a run's newest checkpoint."""
    return os.path.relpath((work_dir / 'last_checkpoint').read_text().strip())


def compute_recognition_figures(work_dir: Path) -> dict[str, float]:
    """``top-1`` among the eight classes, ``pair`` among the four pairs of opposite directions.

    Both are shares between 0 and 1.
    """
    truth, predicted = read_predictions(work_dir)
    return {
        'top-1': float(np.mean(truth == predicted)),
        'pair': float(np.mean(truth // 2 == predicted // 2)),
    }


def read_retrieval_figures(work_dir: Path) -> dict[str, float]:
    """The metrics of the last test, ``t2v/R1`` (per cent) and so on, from its log."""
    return _read_metrics(work_dir, 'retrieval/')


def read_detection_figures(work_dir: Path) -> dict[str, float]:
    """The metrics of the last test, ``mAP`` (a share of 1) and so on, from its log."""
    return _read_metrics(work_dir, 'detection/')


def _read_metrics(work_dir: Path, prefix: str) -> dict[str, float]:
    logs = [log for log in work_dir.glob('*/*.json') if log.parent.name == log.stem]
    metrics = json.loads(max(logs).read_text().splitlines()[-1])
    return {key.removeprefix(prefix): value for key, value in metrics.items()}


def fingerprint_run(config: Path, *options: str) -> str:
    """A text of everything that a result depends on except the code: config, options, data.

    Files of weights count with their contents, :func:`digest_start_files`.
    """
    cfg = Config.fromfile(config)
    manifest = Path(cfg.data_root, 'manifest.json').read_text()
    digests = digest_start_files(cfg, *options)
    return '\n'.join([cfg.pretty_text, ' '.join(options), manifest, *digests])


def digest_start_files(cfg: Config, *options: str) -> list[str]:
    """Hashes of the files that a run starts from: ``pretrained``, ``load_from``, in options too."""
    named = [option.partition('=')[2] or option for option in options]
    named += [node.get('pretrained') for node in walk(cfg.get('model'))] + [cfg.get('load_from')]
    files = sorted({x for x in named if isinstance(x, str) and os.path.isfile(x)})
    return [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files]


def read_predictions(work_dir: Path) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted classes of the test videos, (videos,) each, in the test set's order."""
    return read_dump(work_dir / 'predictions.pkl')
