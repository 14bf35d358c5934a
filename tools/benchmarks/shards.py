"""Time and memory of data sets in shards.

``python tools/benchmarks/shards.py --samples 10000000``: opening an index of made-up shards and
ordering an epoch, in a process of their own; and reading decoded samples from shards, next to the
same files in a folder. The machine and its load are printed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import DefaultScope

from mmstan.benchmark.measure import describe_machine
from mmstan.cli import at_least, one_line_errors
from mmstan.datasets import CaptionsJson, Shards, ShardSampler
from mmstan.datasets.moving_shapes import generate
from mmstan.datasets.shards.index import INDEX_NAME, write_index
from mmstan.datasets.shards.names import Shard
from mmstan.datasets.shards.scan import ShardContents

PER_SHARD = 1000
BYTES = 600_000  # of a made-up sample


def write_made_up(folder: Path, samples: int) -> None:
    """Write empty tars of the right size, and an index of their made-up samples."""
    at = np.stack([np.full(PER_SHARD, 512), np.full(PER_SHARD, 1024), np.full(PER_SHARD, 2048)])
    length = np.stack([np.full(PER_SHARD, size) for size in (BYTES - 4096, 60, 300)])
    first = np.arange(PER_SHARD, dtype=np.int64) * BYTES

    def make_contents() -> Iterator[tuple[Shard, ShardContents]]:
        for number in range(-(-samples // PER_SHARD)):
            path = folder / f'{number:05d}.tar'
            path.touch()
            os.truncate(path, PER_SHARD * BYTES)  # takes no room on the disk
            keys = ''.join(f'{number * PER_SHARD + i:08d}' for i in range(PER_SHARD)).encode()
            yield (
                Shard(str(path), PER_SHARD * BYTES, path.stat().st_mtime_ns),
                ShardContents(
                    '',
                    first,
                    at.astype(np.uint32),
                    length.astype(np.uint32),
                    np.zeros(PER_SHARD, np.uint8),
                    np.frombuffer(keys, np.uint8),
                    np.full(PER_SHARD, 8),
                ),
            )

    write_index(str(folder / INDEX_NAME), make_contents())


def measure_index(folder: Path) -> dict[str, float]:
    """Seconds and megabytes of opening the shards, of an epoch's order, and of one rank's part."""
    found: dict[str, float] = {}
    dataset = _measure('open', lambda: Shards(str(folder)), found)
    sampler = ShardSampler(dataset, seed=0, window=64)
    _measure('first index of an epoch', lambda: next(iter(sampler)), found)
    count = _measure('all indices of an epoch', lambda: sum(1 for _ in sampler), found)
    assert count == len(dataset)
    return found


def _measure(name: str, call: Callable[[], Any], found: dict[str, float]) -> Any:
    """Note CPU seconds and the most memory above the memory of before; returns the result."""
    Path('/proc/self/clear_refs').write_text('5')  # the peak begins again
    before, start = _read_memory('VmRSS'), time.process_time()
    result = call()
    found[f'{name}, CPU s'] = time.process_time() - start
    found[f'{name}, MB'] = _read_memory('VmHWM') - before
    return result


def _read_memory(field: str) -> float:
    """Memory of this process in megabytes; a mapped file counts where it was read."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def run_apart(function: Callable[[Path], dict[str, float]], folder: Path) -> dict[str, float]:
    """Call a function in a new process, whose memory is nobody else's."""
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        return pool.apply(function, (folder,))


def write_same_files(folder: Path) -> Path:
    """Put the tiny Moving Shapes into one shard too; returns the folder of the files."""
    source = generate(folder, size='tiny', tasks=['retrieval'], workers=1) / 'retrieval'
    captions = json.loads((source / 'train.json').read_text())
    (folder / 'shards').mkdir()
    with tarfile.open(folder / 'shards/00000.tar', 'w') as tar:
        for number, (name, texts) in enumerate(captions.items()):
            tar.add(source / name, f'{number:08d}.mp4')
            text = folder / 'caption.txt'
            text.write_text(texts[0] if isinstance(texts, list) else texts)
            tar.add(text, f'{number:08d}.txt')
    return source


def measure_reading(source: Path, shards: Path, passes: int) -> dict[str, float]:
    """Milliseconds a decoded sample of shards and of the folder, in turns; the best passes."""
    segments = dict(type='mmstan.SampleSegments', num_frames=12)
    pipeline = [
        dict(type='mmstan.ReadFrames', sampler=segments),
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs', algorithm_keys=('captions',)),
    ]
    with DefaultScope.overwrite_default_scope('mmaction'):
        sets: dict[str, Any] = {
            'folder': CaptionsJson(
                str(source / 'train.json'), data_prefix=dict(video=str(source)), pipeline=pipeline
            ),
            'shards': Shards(str(shards), pipeline=pipeline),
        }
    times: dict[str, list[float]] = {name: [] for name in sets}
    for _ in range(passes + 1):
        for name, dataset in sets.items():
            start = time.process_time()
            for index in range(len(dataset)):
                dataset[index]
            times[name].append(1000 * (time.process_time() - start) / len(dataset))
    best = {f'{name} ms': min(each[1:]) for name, each in times.items()}
    return {**best, 'shards / folder': best['shards ms'] / best['folder ms']}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--samples', type=at_least(1), default=10_000_000, help='in the made-up index'
    )
    parser.add_argument(
        '--passes', type=at_least(1), default=20, help='over the files that are read'
    )
    args = parser.parse_args()
    print(f'{describe_machine()}, load {os.getloadavg()[0]:.0f}')
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / 'made_up').mkdir()
        write_made_up(folder / 'made_up', args.samples)
        size = (folder / 'made_up' / INDEX_NAME).stat().st_size
        print(f'index of {args.samples:,} made-up samples: {size / 1e6:.0f} MB')
        for what, value in run_apart(measure_index, folder / 'made_up').items():
            print(f'  {what}: {value:.2f}')
        source = write_same_files(folder / 'files')
        found = measure_reading(source, folder / 'files/shards', args.passes)
        print('a decoded sample, CPU time')
        for what, value in found.items():
            print(f'  {what}: {value:.3f}')


if __name__ == '__main__':
    with one_line_errors():
        main()
