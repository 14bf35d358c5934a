"""The training loader of a config, on its own data or on other videos, without an end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch.utils.data import Sampler

from mmstan.benchmark.videos import replace_videos
from mmstan.config.checks import find_missing_data
from mmstan.datasets import ShardSampler, set_epoch
from mmstan.registry import type_name


@contextmanager
def prepare_data(cfg: Config, videos: Path | None) -> Iterator[ConfigDict]:
    """Within, the config of the training loader; it reads its own data, or ``videos``.

    Raises the errors of :func:`measure_pipeline` about the data.
    """
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    loader = deepcopy(cfg.get('train_dataloader'))
    if not loader:
        raise ValueError(f'{cfg.filename} has no train_dataloader: give a config that trains')
    if type_name(loader.dataset.get('type')) == 'mmstan.ShardStream':
        raise ValueError(
            f'{cfg.filename}: mmstan.ShardStream has no numbered samples to measure: give a config '
            'that reads the same shards as mmstan.Shards'
        )
    missing = [path for key, path in find_missing_data(cfg, ('train',)) if key.startswith('train_')]
    if missing and videos is None:
        raise FileNotFoundError(
            f'{cfg.filename} needs {missing[0]}, which is not here: prepare the data as '
            'docs/data.md says, or give --videos FOLDER for others in their place'
        )
    with TemporaryDirectory() as folder:
        if videos is not None:
            loader.dataset = replace_videos(loader.dataset, videos, Path(folder))
            loader.sampler = None  # the config's may ask for shards or for several sources
        yield loader


def make_endless(cfg: ConfigDict, workers: int | None) -> Any:
    """A DataLoader that never ends and shuffles: a pass begins where the last one stopped."""
    # Shards keep their sampler: samples of all shards, mixed, would fetch a shard for each.
    windows = type_name((cfg.get('sampler') or {}).get('type')) == 'mmstan.ShardSampler'
    if not windows:
        cfg.sampler = dict(type='InfiniteSampler', shuffle=True)
    cfg.num_workers = cfg.get('num_workers', 0) if workers is None else workers
    cfg.persistent_workers = False  # they end with the last pass
    cfg.pop('num_batch_per_epoch', None)
    if not cfg.num_workers:
        cfg.pop('prefetch_factor', None)
    loader = Runner.build_dataloader(cfg, seed=0)
    if windows:
        loader.batch_sampler.sampler.divide(loader.batch_size, loader.num_workers)
        loader.batch_sampler.sampler = Passes(loader.batch_sampler.sampler)
    set_epoch(loader.dataset, 0, seed=0)  # as mmstan's loop does: each sample keeps its crop
    return loader


class Passes(Sampler):
    """The epochs of a sampler, one after the other without end."""

    def __init__(self, sampler: ShardSampler) -> None:
        self.sampler = sampler

    def __iter__(self) -> Iterator[int]:
        for epoch in count():
            self.sampler.set_epoch(epoch)
            yield from self.sampler
