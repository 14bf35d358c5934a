"""The batches of a data loader: what determines their order, and the rest of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from mmengine.dataset import DefaultSampler
from mmengine.dist import get_world_size
from torch.utils.data import BatchSampler, DataLoader

from mmstan.datasets.fingerprint import fingerprint
from mmstan.datasets.shards import ShardSampler, ShardStream
from mmstan.engine.epoch_order import Order
from mmstan.registry import type_name


class _Rest:
    """A sampler without its first indices; its length stays the whole epoch's."""

    def __init__(self, sampler: Any, first: int) -> None:
        self.sampler = sampler
        self.first = first

    def __iter__(self) -> Iterator[int]:
        return islice(iter(self.sampler), self.first, None)

    def __len__(self) -> int:
        return len(self.sampler)


def find_sampler(loader: DataLoader) -> Any:
    """Find the sampler of single samples in a loader."""
    return getattr(loader.batch_sampler, 'sampler', loader.sampler)


def refuse_sampler(loader: DataLoader | dict[str, Any]) -> None:
    """Raise ValueError for a sampler of a stream, which draws by itself."""
    if not isinstance(loader, dict) or not isinstance(loader.get('dataset'), dict):
        return
    sampler = loader.get('sampler')
    if type_name(loader['dataset'].get('type')) == 'mmstan.ShardStream' and sampler is not None:
        raise ValueError(
            f'train_dataloader.sampler={dict(sampler)}: mmstan.ShardStream draws its samples by '
            'itself; set train_dataloader.sampler=None'
        )


def tell_sizes(loader: DataLoader) -> bool:
    """Tell a stream or a sampler the loader's numbers; whether epochs may have another length."""
    parts = [
        part
        for part in (loader.dataset, find_sampler(loader))
        if isinstance(part, (ShardStream, ShardSampler))
    ]
    for part in parts:
        part.divide(loader.batch_size or 1, loader.num_workers)
    return bool(parts)


def describe_order(loader: DataLoader, seed: int) -> Order:
    """Note the settings that determine the order of samples and their batches."""
    batch_size = getattr(loader.batch_sampler, 'batch_size', None)
    sampler, world_size = find_sampler(loader), get_world_size()
    sizes = dict(batch_size=batch_size, world_size=world_size)
    # Rank r of W takes every W-th sample from the r-th on: a step's samples are the same for any
    # W, if the global batch is.
    if batch_size and isinstance(sampler, (DefaultSampler, ShardSampler)):
        sizes = dict(global_batch=batch_size * world_size)
    return dict(
        seed=seed,
        samples=len(loader.dataset),  # type: ignore[arg-type]
        fingerprint=fingerprint(loader.dataset),
        **sizes,
        **getattr(sampler, 'settings', {}),
        batches=len(loader),
    )


@contextmanager
def skip_batches(loader: DataLoader, seen: int) -> Iterator[None]:
    """Skip the first ``seen`` batches in the sampler, so that nothing of them is decoded.

    Raises:
        ValueError: The loader has a batch sampler of its own, and ``seen`` is not 0.
    """
    if not seen:
        yield
        return
    if isinstance(loader.dataset, ShardStream):
        loader.dataset.skip(seen)
        yield
        return
    batch_sampler = loader.batch_sampler
    if type(batch_sampler) is not BatchSampler:
        raise ValueError(
            f'batch_sampler={type(batch_sampler).__name__} cannot be resumed in mid-epoch, only '
            'the standard one; resume from a checkpoint of the end of an epoch'
        )
    sampler = batch_sampler.sampler
    batch_sampler.sampler = _Rest(sampler, seen * batch_sampler.batch_size)
    try:
        yield
    finally:
        batch_sampler.sampler = sampler
