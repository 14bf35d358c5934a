"""Measure a model in use: ``python tools/benchmarks/inference.py CONFIG CHECKPOINT VIDEOS``.

Prints, as medians of interleaved rounds, how many clips a second ``VideoModel.classify`` takes next
to the loop of ``tools/test.py`` with as many workers and the same batch size, in float32 and in
bfloat16 with their agreement; and by how much the memory of the process grows while ``stream``
reads a film of ``--minutes`` that is rendered for it.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner

import mmstan
from mmstan.apis.load import build_runner
from mmstan.benchmark.measure import describe_machine
from mmstan.cli import one_line_errors
from mmstan.commands import list_inputs
from mmstan.wording import markdown_table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('videos', help='folder of videos')
    parser.add_argument('--clips', type=int, default=100)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--batch-size', type=int, default=8)
    parser.add_argument('--minutes', type=float, default=10.0, help='0: no film')
    args = parser.parse_args()
    with one_line_errors():
        print(describe_machine())
        videos = (list_inputs([args.videos]) * args.clips)[: args.clips]
        print(compare_rates(args, videos))
        if args.minutes:
            print(measure_film(args))


def compare_rates(args: argparse.Namespace, videos: list[str]) -> str:
    """Clips a second of each way, and how well bfloat16 agrees with float32."""
    options = dict(device='cpu', workers=args.workers, batch_size=args.batch_size, views='test')
    exact = mmstan.load(args.config, args.checkpoint, **options)
    low = mmstan.load(args.config, args.checkpoint, dtype=torch.bfloat16, **options)
    with tempfile.TemporaryDirectory() as folder:
        loop = _make_test_loop(args, videos, folder)
        ways: dict[str, Callable[[], Any]] = {
            'tools/test.py, its loop': loop,
            'classify, float32': lambda: exact.classify(videos),
            'classify, bfloat16': lambda: low.classify(videos),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        results: dict[str, Any] = {}
        for _ in range(args.rounds):
            for name, way in ways.items():
                start = time.perf_counter()
                results[name] = way()
                seconds[name].append(time.perf_counter() - start)
    base = statistics.median(seconds['tools/test.py, its loop'])
    rows = [
        [name, f'{len(videos) / statistics.median(x):.2f}', f'{base / statistics.median(x):.2f}']
        for name, x in seconds.items()
    ]
    a, b = (results[f'classify, {dtype}'] for dtype in ('float32', 'bfloat16'))
    same = np.mean([x.names[0] == y.names[0] for x, y in zip(a, b)])
    cosine = (exact.embed(videos[:16]) * low.embed(videos[:16])).sum(dim=1).min()
    table = markdown_table(['way', 'clips/s', 'to the loop'], rows)
    return f'{table}\n\nbfloat16: equal top-1 {100 * same:.1f} %, least cosine {cosine:.5f}'


def _make_test_loop(args: argparse.Namespace, videos: list[str], folder: str) -> Callable[[], Any]:
    """The test loop over a list of the videos, without a metric's own time."""
    cfg = Config.fromfile(args.config)
    listed = Path(folder, 'list.txt')
    listed.write_text('\n'.join(f'{Path(video).resolve()} 0' for video in videos) + '\n')
    cfg.test_dataloader.update(
        batch_size=args.batch_size, num_workers=args.workers, persistent_workers=False
    )
    cfg.test_dataloader.dataset.update(ann_file=str(listed), data_prefix=dict(video=''))
    cfg.load_from, cfg.work_dir = args.checkpoint, folder
    runner: Runner = build_runner(cfg)
    model = runner.model.eval()
    runner.load_or_resume()
    loader = runner.build_dataloader(cfg.test_dataloader)

    @torch.no_grad()
    def run() -> None:
        for batch in loader:
            model.test_step(batch)

    return run


def measure_film(args: argparse.Namespace) -> str:
    """How much more memory the process needs while it streams a long film."""
    model = mmstan.load(args.config, args.checkpoint, device='cpu', workers=0)
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder, 'film.mp4')
        write_film(film, args.minutes)
        next(iter(model.stream(film)))  # what a first batch needs
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        pieces = sum(1 for _ in model.stream(film))
        seconds = time.perf_counter() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return (
        f'\nfilm of {args.minutes:g} minutes, 640 x 360, 25 frames a second: {pieces} pieces in '
        f'{seconds:.1f} s, peak memory {grown:.0f} MB above that of the first piece'
    )


def write_film(path: Path, minutes: float) -> None:
    """Render a film whose brightness changes."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=25, options={'preset': 'ultrafast'})
        stream.width, stream.height, stream.pix_fmt = 640, 360, 'yuv420p'
        frame = np.zeros((360, 640, 3), np.uint8)
        for number in range(int(minutes * 60 * 25)):
            frame[:] = number % 256
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, 'rgb24')))
        container.mux(stream.encode())


if __name__ == '__main__':
    main()
