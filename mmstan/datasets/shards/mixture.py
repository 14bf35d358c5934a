"""Several sources of clips in one data set, and the order in which a pass deals them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset, ConcatDataset

from mmstan.datasets.visits import Visit
from mmstan.registry import DATASETS


@DATASETS.register_module()
class MixedClips(ConcatDataset):
    """Several data sets as one; :class:`ShardSampler` deals their samples.

    A pass has each sample once, in random turns of the sources. With ``weights`` it has as many
    samples, and each source gives its share of them: a small source comes several times, a large
    one is gone through over several passes.

    Args:
        datasets: Configs of the data sets, or these.
        weights: Shares of the sources in a batch, in any unit. They need a ``ShardSampler``.

    Raises:
        ValueError: ``weights`` do not fit.

    Example::

        train_dataloader = dict(
            sampler=dict(type='mmstan.ShardSampler', pure_batches=True, drop_last=True),
            dataset=dict(type='mmstan.MixedClips', datasets=[videos, images], weights=[3, 1]),
        )
    """

    def __init__(
        self,
        datasets: Sequence[BaseDataset | dict[str, Any]],
        weights: Sequence[float] | None = None,
    ) -> None:
        self.weights = None if weights is None else np.array(weights, float)
        if self.weights is not None and (
            self.weights.shape != (len(datasets),) or not (self.weights > 0).all()
        ):
            raise ValueError(
                f'weights={weights!r} must be {len(datasets)} numbers above 0, one a data set'
            )
        built = [DATASETS.build(each) if isinstance(each, dict) else each for each in datasets]
        super().__init__(built, ignore_keys=[*{key for each in built for key in each.metainfo}])

    @property
    def sources(self) -> list[tuple[int, Any]]:
        """The first index of each source, and its data set."""
        starts = np.cumsum([0, *map(len, self.datasets)])
        return [*zip(starts.tolist(), self.datasets)]

    def _get_ori_dataset_idx(self, idx: int) -> tuple[int, int]:
        source, index = super()._get_ori_dataset_idx(idx)
        return source, Visit(index, idx.earlier) if isinstance(idx, Visit) else index


def count_samples(
    sizes: Sequence[int], weights: np.ndarray | None, block: int, cut: bool
) -> list[int]:
    """Count the samples that each source gives to a pass, in whole blocks.

    Args:
        sizes: Samples of each source.
        weights: Shares of the sources; None for each sample once.
        block: Samples that come from one source at a time.
        cut: Whether the last, unfinished block is left out, or filled.

    >>> count_samples([10, 5], None, 4, cut=True)
    [8, 4]
    >>> count_samples([10, 5], np.array([1, 2]), 1, cut=False)
    [5, 10]
    """
    wanted = np.array(sizes, float)
    if weights is not None:
        wanted = sum(sizes) * weights / weights.sum()
    blocks = np.floor(wanted / block + 1e-9) if cut else np.ceil(wanted / block - 1e-9)
    return (blocks.astype(np.int64) * block).tolist()


def deal_sources(
    number: int,
    sizes: Sequence[int],
    counts: Sequence[int],
    block: int,
    order_of: Callable[[int, int], np.ndarray],
    draw: np.random.Generator | None,
) -> np.ndarray:
    """Make the order of a pass from the orders of the sources.

    Args:
        number: The pass.
        sizes: Samples of each source.
        counts: Samples that each gives to a pass, whole blocks.
        block: Samples in a row from one source.
        order_of: (source, its own pass) -> its samples in order, indices of the whole.
        draw: Random numbers of the pass for the turns of the sources; None for one after the other.
    """
    turns = np.repeat(np.arange(len(sizes)), [count // block for count in counts])
    if draw is not None:
        draw.shuffle(turns)
    turns = np.repeat(turns, block)
    order = np.empty(len(turns), np.int64)
    for source, (size, count) in enumerate(zip(sizes, counts)):
        # A source goes on where the last pass left it.
        begin, left, pieces = number * count, count, []
        while left:
            own, first = divmod(begin, size)
            pieces.append(order_of(source, own)[first : first + left])
            begin, left = begin + len(pieces[-1]), left - len(pieces[-1])
        order[turns == source] = np.concatenate(pieces) if pieces else []
    return order
