"""The order in which the samples of shards are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmstan.datasets.shards.mixture import count_samples, deal_sources
from mmstan.datasets.visits import Visit, count_earlier
from mmstan.registry import DATA_SAMPLERS

_CHUNK = 1 << 16  # indices that are Python's integers at a time


@DATA_SAMPLERS.register_module()
class ShardSampler(Sampler):
    """Shuffles within a moving window of shards, so that few of them are read at a time.

    A pass shuffles the shards, and then the samples of each ``window`` of consecutive shards. This
    order is a function of (seed, pass), the same on all W ranks; rank r takes its items r, r + W,
    ... A step's samples over all ranks therefore depend on the global batch, and not on W. All
    ranks have equally many samples: the order begins again at its end, or with ``drop_last`` it is
    cut. Data sets without shards are shuffled as a whole. The sources of a :class:`MixedClips` are
    shuffled each by itself, and take turns at random.

    Args:
        dataset: The data set; ``Shards`` knows where its shards begin (``shard_starts``).
        window: Shards whose samples are mixed.
        shuffle: Whether to shuffle at all.
        seed: Seed of the order; drawn by rank 0 if it is None.
        parts: Epochs that a pass is divided into. Validation, checkpoints and the schedule then
            count parts.
        samples_per_epoch: Length of an epoch in the place of ``parts``; the next epoch goes on
            where one ended, through as many passes as it takes. Each visit of a sample has its own
            random numbers, as with the weights of a ``MixedClips``.
        drop_last: Whether to cut the order instead of repeating its first samples.
        pure_batches: Whether all samples of a step, over all ranks, come from one source of a
            ``MixedClips``, as they must where the sources differ in their number of frames.

    Raises:
        ValueError: A number is less than 1, or two arguments exclude each other.

    Example::

        train_dataloader = dict(sampler=dict(type='mmstan.ShardSampler', window=64, parts=10))
    """

    def __init__(
        self,
        dataset: Any,
        *,
        window: int = 64,
        shuffle: bool = True,
        seed: int | None = None,
        parts: int = 1,
        samples_per_epoch: int | None = None,
        drop_last: bool = False,
        pure_batches: bool = False,
    ) -> None:
        for name, value in (('window', window), ('parts', parts)):
            if value < 1:
                raise ValueError(f'{name}={value} must be 1 or more')
        if samples_per_epoch is not None and (samples_per_epoch < 1 or parts > 1):
            raise ValueError(
                f'samples_per_epoch={samples_per_epoch} with parts={parts}: give one of them, of 1 '
                'or more'
            )
        if pure_batches and (parts > 1 or samples_per_epoch or not hasattr(dataset, 'sources')):
            raise ValueError(
                'pure_batches=True is for a mmstan.MixedClips, without parts and samples_per_epoch'
            )
        self.pure_batches = pure_batches
        self.batch_size: int | None = None
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.window, self.shuffle, self.drop_last = window, shuffle, drop_last
        self.parts, self.samples_per_epoch = parts, samples_per_epoch
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that determine the order, which a resumed run compares."""
        return dict(
            window=self.window,
            shuffle=self.shuffle,
            parts=self.parts,
            samples_per_epoch=self.samples_per_epoch,
            pure_batches=self.pure_batches,
            weights=None if self._weights is None else self._weights.tolist(),
        )

    def divide(self, batch_size: int, num_workers: int) -> None:
        """Set the loader's batch size, which pure batches have; the training loop does that."""
        self.batch_size = batch_size

    def __len__(self) -> int:
        """Samples of this rank in an epoch, the same on every rank."""
        wanted = self._epoch_length
        return wanted // self.world_size if self.drop_last else -(-wanted // self.world_size)

    def __iter__(self) -> Iterator[int]:
        if self.pure_batches and self.batch_size is None:
            raise ValueError('pure_batches=True needs train_cfg=dict(type="mmstan.EpochTrainLoop")')
        order = self._order_epoch()
        # Without these two an epoch repeats samples only to fill the last step.
        repeats = self.samples_per_epoch is not None or self._weights is not None
        seen = np.zeros(len(self.dataset) if repeats else 0, np.int32)
        own, size = slice(self.rank, None, self.world_size), _CHUNK * self.world_size
        for begin in range(0, len(order), size):
            part = order[begin : begin + size]
            if not repeats:
                yield from part[own].tolist()
                continue
            earlier = count_earlier(part, seen)[own].tolist()
            for index, count in zip(part[own].tolist(), earlier):
                yield Visit(index, count) if count else index

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, counted from 0."""
        self.epoch = epoch

    @property
    def _epoch_length(self) -> int:
        """Samples of an epoch over all ranks, before the cut or the repetition for W ranks."""
        total = self._pass_length
        if self.samples_per_epoch is not None:
            return self.samples_per_epoch
        return total // self.parts if self.drop_last else -(-total // self.parts)

    @property
    def _weights(self) -> np.ndarray | None:
        return getattr(self.dataset, 'weights', None)

    @property
    def _block(self) -> int:
        """Samples in a row that come from one source."""
        return (self.batch_size or 1) * self.world_size if self.pure_batches else 1

    @property
    def _pass_length(self) -> int:
        sources = getattr(self.dataset, 'sources', None)
        return sum(self._count_sources(sources)) if sources else len(self.dataset)

    def _count_sources(self, sources: Sequence[tuple[int, Any]]) -> list[int]:
        sizes = [len(dataset) for _, dataset in sources]
        return count_samples(sizes, self._weights, self._block, self.drop_last)

    def _order_epoch(self) -> np.ndarray:
        """Make the order of an epoch on all ranks, ``len(self) * world_size`` indices."""
        total, count = self._pass_length, len(self) * self.world_size
        if self.samples_per_epoch is None:
            number, part = divmod(self.epoch, self.parts)
            begin = part * self._epoch_length
            # Behind the end of a pass come its first samples again.
            return np.take(self.order_pass(number), np.arange(begin, begin + count), mode='wrap')
        begin, pieces = self.epoch * self.samples_per_epoch, []
        while count:
            number, first = divmod(begin, total)
            pieces.append(self.order_pass(number)[first : first + count])
            begin, count = begin + len(pieces[-1]), count - len(pieces[-1])
        return np.concatenate(pieces)

    def order_pass(self, number: int) -> np.ndarray:
        """Make the order of all samples in a pass, int32 or int64."""
        sources = getattr(self.dataset, 'sources', None)
        if not sources:
            return self._order_source(self.dataset, (self.seed, number))

        def order(source: int, own: int) -> np.ndarray:
            first, dataset = sources[source]
            return first + self._order_source(dataset, (self.seed, own, source))

        sizes = [len(dataset) for _, dataset in sources]
        draw = np.random.default_rng((self.seed, number)) if self.shuffle else None
        counts = self._count_sources(sources)
        return deal_sources(number, sizes, counts, self._block, order, draw)

    def _order_source(self, dataset: Any, key: tuple[int, ...]) -> np.ndarray:
        """Shuffle the shards, and the samples of each window of them."""
        total = len(dataset)
        kind = np.int32 if total < 2**31 else np.int64
        if not self.shuffle:
            return np.arange(total, dtype=kind)
        draw = np.random.default_rng(key)
        starts = getattr(dataset, 'shard_starts', None)
        if starts is None:
            order = np.arange(total, dtype=kind)
            draw.shuffle(order)
            return order
        order, filled = np.empty(total, kind), 0
        shards = draw.permutation(len(starts) - 1)
        for begin in range(0, len(shards), self.window):
            window = shards[begin : begin + self.window]
            mixed = np.concatenate([np.arange(starts[s], starts[s + 1]) for s in window])
            here = order[filled : filled + len(mixed)]
            here[:] = mixed
            draw.shuffle(here)
            filled += len(here)
        return order
