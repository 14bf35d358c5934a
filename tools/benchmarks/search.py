"""Measure ``mmstan.SearchIndex``: ``python tools/benchmarks/search.py WHAT [options]``.

* ``kinds``: every kind of index on made-up frames of a width of 512, in topics, with a gap between
  texts and videos as in CLIP's space: bytes, build, time of the first stage, recall of it.
* ``large``: an index of 100,000 clips of random features: time to open it, time of a query with
  re-ranking by Mug, and resident memory, each in a fresh process with one thread. Needs 4 GB of
  disk in ``--folder``.
Figures go into a csv file; ``search_recall.py`` writes there too.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.apis.search import SearchIndex, building
from mmstan.apis.search.entries import Entry
from mmstan.apis.search.kinds import KINDS, make_index, write_index
from mmstan.apis.search.manifest import Manifest
from mmstan.apis.search.nearest import Nearest, NearestByFaiss, NearestByTorch
from mmstan.apis.search.store import Store
from mmstan.apis.search.table import Table
from mmstan.benchmark.figures import Figure, format_figures, write_figures
from mmstan.benchmark.measure import describe_machine
from mmstan.cli import one_line_errors
from mmstan.methods.mug import Mug
from mmstan.models.features import TextFeatures, VideoFeatures, l2_normalise

FRAMES, DIM, TOKENS, TOP, CANDIDATES = 12, 512, 32, 10, 400
LARGE_KINDS = ('pq4', 'int8', 'fp16')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('what', choices=('kinds', 'large', 'open'))
    parser.add_argument('index', nargs='?', help='folder for open, which large calls')
    parser.add_argument('--clips', type=int, help='default: 20,000, or 100,000 for large')
    parser.add_argument('--queries', type=int, default=50)
    parser.add_argument('--folder', type=Path, help='where large writes; default: a temporary one')
    parser.add_argument('--csv', type=Path, default=Path('docs/benchmark/search.csv'))
    return parser.parse_args()


class RandomModel:
    """A model whose texts are random; the part of ``VideoModel`` that a search by text asks for."""

    identity, dtype, interaction = 'random', torch.float32, Mug()

    def embed_texts(self, texts: list[str], *, tokens: bool) -> TextFeatures:
        """Random features of 32 words."""
        generator = torch.Generator().manual_seed(sum(map(ord, texts[0])))
        words = torch.randn(1, TOKENS, DIM, generator=generator)
        return TextFeatures(words, words[:, -1], torch.ones(1, TOKENS, dtype=torch.bool))

    def similarity_of(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """Mug's similarities."""
        return self.interaction(text, video)


# --- kinds ---


def measure_kinds(clips: int, queries: int) -> Iterator[Figure]:
    """Every kind on one gallery."""
    frames, texts = make_gallery(clips, queries)
    entries: list[Entry | None] = [Entry(str(i), None, None) for i in range(clips)]
    table = Table(entries, frames.half().numpy(), np.ones((clips, FRAMES), bool))
    rows = np.arange(clips)
    exact = NearestByTorch(table, clips)
    truth = {
        'text': [exact.find(text[None], TOP) for text in texts],
        'frame': [exact.find(frames[i, None, 0], TOP) for i in range(queries)],
    }
    yield 'brute', 'query', measure_ms(exact, texts[:5]), 'ms'
    for kind in KINDS[2:]:
        start = time.perf_counter()
        some = rows[:: max(1, clips // 8192)]
        sample = np.concatenate([unit for _, unit in table.unit_frames(some, 1)])
        index = make_index(kind, sample, clips * FRAMES)
        for ids, unit in table.unit_frames(rows, 64):
            index.add_with_ids(unit, ids)
        yield kind, 'build', time.perf_counter() - start, 's'
        with tempfile.TemporaryDirectory() as folder:
            write_index(index, Path(folder, 'index'))
            size = Path(folder, 'index').stat().st_size
        yield kind, 'bytes a frame', size / clips / FRAMES, 'bytes'
        nearest = NearestByFaiss(table, index, 64)
        yield kind, 'query', measure_ms(nearest, texts), 'ms'
        for name, vectors in (('text', texts), ('frame', frames[:queries, 0])):
            found = [nearest.find(vector[None], CANDIDATES) for vector in vectors]
            for most in (TOP, CANDIDATES):
                share = count_kept(truth[name], [x[:most] for x in found])
                yield kind, f'{name}: top {TOP} in {most}', share, '%'


def make_gallery(clips: int, queries: int) -> tuple[Tensor, Tensor]:
    """Unit frames (clips, T, D) in topics, and unit texts (queries, D) that lie apart from them."""
    torch.manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, DIM) / DIM**0.5

    topics, gap = draw(2000), l2_normalise(draw(1))
    videos = topics[torch.randint(2000, (clips,))] + 0.8 * draw(clips)
    frames = l2_normalise(videos[:, None] + 0.6 * draw(clips, FRAMES) + gap)
    texts = 0.6 * frames[:queries, FRAMES // 2] + 1.2 * draw(queries) - 0.6 * gap
    return frames, l2_normalise(texts)


def measure_ms(nearest: Nearest, queries: Tensor) -> float:
    """Median time of the first stage, in milliseconds."""
    nearest.find(queries[:1], CANDIDATES)
    times = [measure(lambda x=x: nearest.find(x[None], CANDIDATES)) for x in queries]
    return 1e3 * statistics.median(times)


def measure(function: Callable[[], Any]) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def count_kept(truth: list[np.ndarray], found: list[np.ndarray]) -> float:
    """Per cent of true rows that were found."""
    return 100 * float(np.mean([np.isin(x, y).mean() for x, y in zip(truth, found)]))


# --- large ---


def measure_large(clips: int, queries: int, folder: Path) -> Iterator[Figure]:
    """An index of random features, opened in a fresh process for each kind."""
    store = write_features(clips, folder)
    for kind in LARGE_KINDS:
        checks = {'names': store.manifest.checks['names']}
        store.write_facts(kind=kind, auto=False, indexed=0, checks=checks)
        yield kind, 'build from features', measure(lambda: building.renew_index(store)), 's'
        command = [sys.executable, __file__, 'open', str(folder), '--queries', str(queries)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for figure, value, unit in json.loads(said.splitlines()[-1]):
            yield kind, figure, value, unit


def write_features(clips: int, folder: Path) -> Store:
    """The folder of an index of random features, without an index of the frames."""
    facts: dict[str, Any] = dict(interaction='Mug', pooled=False, store='float16', kind='fp16')
    store = Store.create(
        folder,
        Manifest(identity=RandomModel.identity, dim=DIM, frames=FRAMES, auto=False, **facts),
    )
    generator = torch.Generator().manual_seed(0)
    for start in range(0, clips, 1024):
        count = min(1024, clips - start)
        entries = [Entry(f'/videos/{start + i:07}.mp4', 10**6, i) for i in range(count)]
        features = torch.randn(count, FRAMES, DIM, generator=generator)
        store.append(entries, features.numpy(), np.ones((count, FRAMES), bool))
    return store


def open_and_query(folder: str, queries: int) -> list[tuple[str, float, str]]:
    """Figures of this process: it opens an index and searches with one thread."""
    import faiss

    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    before = read_resident()
    start, busy = time.perf_counter(), time.process_time()
    index = SearchIndex.open(folder, RandomModel())
    opened, busy = time.perf_counter() - start, time.process_time() - busy
    first = measure(lambda: index.search('first'))
    times, used = [], -time.process_time()
    for i in range(queries):
        times.append(measure(lambda i=i: index.search(f'query {i}')))
    used += time.process_time()
    # Seconds of the processor do not count the time that other processes of the machine take.
    return [
        ('open', opened, 's'),
        ('open, of the processor', busy, 's'),
        ('first query', 1e3 * first, 'ms'),
        ('query', 1e3 * statistics.median(times), 'ms'),
        ('query, of the processor', 1e3 * used / queries, 'ms'),
        ('memory before', before / 1e6, 'MB'),
        ('memory', read_resident() / 1e6, 'MB'),
    ]


def read_resident() -> int:
    """Resident memory of this process in bytes, mapped files included."""
    return 4096 * int(Path('/proc/self/statm').read_text().split()[1])


def main() -> None:
    """Measure, write the figures, and print their table."""
    args = parse_args()
    with one_line_errors():
        if args.what == 'open':
            print(json.dumps(open_and_query(args.index, args.queries)))
            return
        torch.set_num_threads(1)
        if args.what == 'kinds':
            figures = list(measure_kinds(args.clips or 20_000, args.queries))
        else:
            with tempfile.TemporaryDirectory(dir=args.folder) as folder:
                figures = list(measure_large(args.clips or 100_000, args.queries, Path(folder)))
        command = shlex.join(['python', 'tools/benchmarks/search.py', *sys.argv[1:]])
        machine = f'{describe_machine()}, 1 thread'
        write_figures(args.csv, args.what, figures, machine=machine, command=command)
        print(format_figures(args.csv, args.what))


if __name__ == '__main__':
    main()
