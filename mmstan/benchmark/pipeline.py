"""Measure the speed of a config's training pipeline, and the time of each transform."""

from __future__ import annotations

import math
import re
import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.utils.dl_utils import set_multi_processing

from mmstan.benchmark.endless import Passes, make_endless, prepare_data
from mmstan.benchmark.measure import measure_seconds
from mmstan.benchmark.videos import SPREAD, describe_videos, list_parts

# Transforms that open or decode a video; MMAction2's SampleFrames only draws numbers.
_READS = re.compile(r'^ReadFrames|Decode|^DecordInit|^PyAVInit|^OpenCVInit')


def measure_pipeline(
    cfg: Config,
    *,
    videos: Path | None = None,
    workers: int | None = None,
    clips: int = 64,
    repeats: int = 3,
) -> dict[str, Any]:
    """Measure the speed of ``cfg``'s training pipeline.

    Args:
        cfg: A config with a ``train_dataloader``.
        videos: Folder of videos to read instead of the config's data.
        workers: Processes of the data loader, 0 for none; by default the config's number.
        clips: Fewest clips of a pass; rounded up to whole batches for each worker.
        repeats: Counted passes, after one warm-up pass.

    Returns:
        ``loader`` and ``one_process`` (clips a second); ``shares``: transform -> its share of the
        time in one process; ``workers``; ``batch_size``; ``reader``; and ``videos``: ``number``,
        ``probed`` and ``unreadable`` (counts), ``width`` and ``height`` (pixels), ``fps`` and
        ``seconds``, each as (least, median, most).

    Raises:
        FileNotFoundError: The config's data are missing and ``videos`` is not given.
        ValueError: A number is too small, or there is nothing to measure.
    """
    for name, value in dict(clips=clips, repeats=repeats, workers=workers).items():
        least = 0 if name == 'workers' else 1
        if value is not None and value < least:
            raise ValueError(f'{name}={value} must be at least {least}: give a larger one')
    threads = torch.get_num_threads()
    # The conditions of training: the runner's way to start workers, one thread in each of them.
    set_multi_processing(**(cfg.get('env_cfg') or {}).get('mp_cfg', {}))
    torch.set_num_threads(1)
    try:
        with prepare_data(cfg, videos) as loader_cfg:
            return _measure(make_endless(loader_cfg, workers), clips, repeats)
    finally:
        torch.set_num_threads(threads)


def _measure(loader: Any, clips: int, repeats: int) -> dict[str, Any]:
    # In this order: the loader runs before time_transforms replaces the transforms.
    reader, videos = describe_videos(loader.dataset)
    rate = measure_loader(loader, clips, repeats)
    order = loader.batch_sampler.sampler
    own = order if isinstance(order, Passes) else None
    times = time_transforms(loader.dataset, clips, repeats, order=own)
    total = sum(times.values())
    return dict(
        loader=rate,
        one_process=1 / total,
        shares={name: time / total for name, time in times.items()},
        workers=loader.num_workers,
        batch_size=loader.batch_sampler.batch_size,
        reader=reader,
        videos=videos,
    )


def measure_loader(loader: Any, clips: int, repeats: int) -> float:
    """Clips a second of an endless loader, read without doing anything else."""
    size, turn = loader.batch_sampler.batch_size, max(loader.num_workers, 1)
    # The same number of batches from each worker: their batches arrive at about the same time.
    batches = turn * math.ceil(clips / (size * turn))
    stream = iter(loader)
    # The first pass starts the workers and fills the caches, so times[0] is dropped.
    times = [measure_seconds(lambda: _exhaust(islice(stream, batches))) for _ in range(repeats + 1)]
    return batches * size / statistics.median(times[1:])


def time_transforms(
    dataset: Any, clips: int, repeats: int, *, order: Iterable[int] | None = None
) -> dict[str, float]:
    """Transform -> seconds per clip, and ``'rest'`` for the time outside of the transforms.

    Samples come in ``order``, by default shuffled, from the beginning again when all were read.
    Replaces each transform of ``dataset`` by one that also adds its time to a table.
    """
    spent: dict[str, float] = {}
    for part in list_parts(dataset):
        # The second Resize of a pipeline is 'Resize 2'; data sets share the entry of a name.
        names, seen = map(_name, part.pipeline.transforms), Counter[str]()
        for i, name in enumerate(names):
            seen[name] += 1
            name = f'{name} {seen[name]}' if seen[name] > 1 else name
            part.pipeline.transforms[i] = _clocked(part.pipeline.transforms[i], name, spent)
    if order is None:
        shuffled = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))
        order = cycle(shuffled.tolist())
    indices, passes = iter(order), []
    for _ in range(repeats + 1):
        spent.update(dict.fromkeys(spent, 0.0))
        total = measure_seconds(
            lambda: _exhaust(dataset[index] for index in islice(indices, clips))
        )
        passes.append({**spent, 'rest': total - sum(spent.values())})
    return {name: statistics.median(x[name] for x in passes[1:]) / clips for name in passes[0]}


def _exhaust(items: Iterable[Any]) -> None:
    deque(items, maxlen=0)


def _name(transform: Callable[..., Any]) -> str:
    """Name of a transform's class; for a wrapper, the names of the transforms inside."""
    inner = getattr(transform, 'transforms', None)
    return ', '.join(map(_name, inner)) if inner else type(transform).__name__


def _clocked(
    transform: Callable[..., Any], name: str, spent: dict[str, float]
) -> Callable[..., Any]:
    spent.setdefault(name, 0.0)

    def call(results: dict[str, Any]) -> Any:
        start = time.perf_counter()
        try:
            return transform(results)
        finally:  # a broken video takes time, too
            spent[name] += time.perf_counter() - start

    return call


def judge_rates(pipeline_rate: float, appetite: float | None, *, one_process: float = 0) -> str:
    """One sentence: does the model wait for the pipeline, and how many workers would be enough.

    Args:
        pipeline_rate: Clips a second of the data loader.
        appetite: Clips a second that the model trains on, None if not measured.
        one_process: Clips a second of a pipeline without workers, 0 if not measured.
    """
    gives = f'the pipeline gives {pipeline_rate:.1f} clips/s'
    if appetite is None:
        return f'{gives}; what the model takes has not been measured'
    starves = 'the model starves' if pipeline_rate < appetite else 'the model does not starve'
    text = f'{starves}: it takes {appetite:.1f} clips/s and {gives}'
    if not one_process:
        return text
    needed = math.ceil(appetite / one_process)
    return (
        f'{text}; about {needed} worker{"s" * (needed > 1)} on as many cores would do (an '
        f'estimate: {one_process:.1f} clips/s for each)'
    )


def report(config: str, figures: dict[str, Any]) -> str:
    """A text table of one config from the figures of :func:`measure_pipeline`."""
    videos = figures['videos']
    width, height, fps, length = (_range(*videos[key]) for key in SPREAD)
    probed = f'{videos["probed"]} looked at, {videos["unreadable"]} of them unreadable'
    loader = f'loader, workers: {figures["workers"]}, batch: {figures["batch_size"]}'
    rows = [
        f'\n{config}',
        f'  {videos["number"]} videos ({probed}), reader: {figures["reader"]}',
        f'  {width} x {height} pixels, {fps} frames/s, {length} s',
        f'  {loader:44}{figures["loader"]:9.1f} clips/s',
        f'  {"one process":44}{figures["one_process"]:9.1f} clips/s',
        *(f'    {name:42}{100 * share:9.1f} %' for name, share in figures['shares'].items()),
        f'    {split_shares(figures["shares"])}',
    ]
    return '\n'.join(rows)


def split_shares(shares: Mapping[str, float]) -> str:
    """One line: the shares of reading, of the other transforms, and of what is outside of both.

    >>> split_shares({'ReadFrames': 0.7, 'Resize': 0.1, 'FormatShape': 0.05, 'rest': 0.15})
    'reading and decoding 70.0 %, transforms 15.0 %, rest 15.0 %'
    """
    reading = sum(share for name, share in shares.items() if _READS.search(name))
    rest = shares.get('rest', 0.0)
    others = sum(shares.values()) - reading - rest
    return (
        f'reading and decoding {100 * reading:.1f} %, transforms {100 * others:.1f} %, '
        f'rest {100 * rest:.1f} %'
    )


def _range(least: float, median: float, most: float) -> str:
    return f'{median:.4g}' + (f' ({least:.4g} to {most:.4g})' if least < most else '')
