"""The order of samples: mixed within a window, the same on every number of ranks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.shard_files import write_shards
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from mmstan.datasets import MixedClips, Shards, ShardSampler, set_epoch


class Numbers:
    """A data set of shards of these sizes."""

    def __init__(self, *counts: int) -> None:
        self.shard_starts = np.cumsum([0, *counts])

    def __len__(self) -> int:
        return int(self.shard_starts[-1])


def deal(dataset: Any, world_size: int, epoch: int = 0, **arguments: Any) -> list[list[int]]:
    """The indices of every rank."""
    ranks = []
    for rank in range(world_size):
        with pytest.MonkeyPatch.context() as patch:
            dist = 'mmstan.datasets.shards.sampler.get_dist_info'
            patch.setattr(dist, lambda rank=rank: (rank, world_size))
            sampler = ShardSampler(dataset, **{'seed': 3, **arguments})
        sampler.set_epoch(epoch)
        ranks.append([*sampler])
        assert len(ranks[-1]) == len(sampler)
    return ranks


def weave(ranks: list[list[int]]) -> list[int]:
    """The order over all ranks."""
    return [index for step in zip(*ranks) for index in step]


def test_an_epoch_has_every_sample_once_in_the_order_of_windows() -> None:
    dataset = Numbers(*[5] * 12)
    (order,) = deal(dataset, 1, window=3)
    assert sorted(order) == [*range(60)]
    shards = np.array(order) // 5
    windows = [set(shards[begin : begin + 15]) for begin in range(0, 60, 15)]
    assert [len(window) for window in windows] == [3] * 4
    assert len(set(shards[:5])) > 1  # mixed in the window
    assert sorted(windows[0]) != [0, 1, 2]  # and so are the shards


@pytest.mark.parametrize('world_size', [2, 3])
@pytest.mark.parametrize('drop_last', [True, False])
def test_the_order_does_not_depend_on_the_number_of_ranks(world_size: int, drop_last: bool) -> None:
    dataset = Numbers(7, 3, 8, 1)
    (alone,) = deal(dataset, 1, window=2, drop_last=drop_last)
    ranks = deal(dataset, world_size, window=2, drop_last=drop_last)
    assert len({len(rank) for rank in ranks}) == 1
    woven = weave(ranks)
    both = min(len(woven), len(alone))
    assert woven[:both] == alone[:both]
    assert (len(woven) <= 19) if drop_last else (set(woven) == {*range(19)})
    assert woven[19:] == alone[: len(woven[19:])]  # it begins again


def test_every_pass_and_seed_has_its_own_order() -> None:
    dataset = Numbers(*[5] * 12)
    orders = [deal(dataset, 1, epoch, seed=seed)[0] for epoch, seed in ((0, 3), (1, 3), (0, 4))]
    assert len({tuple(order) for order in orders}) == 3
    assert deal(dataset, 1, 1)[0] == orders[1]
    assert deal(dataset, 1, shuffle=False)[0] == [*range(60)]


@pytest.mark.parametrize('drop_last', [True, False])
def test_parts_make_up_a_pass(drop_last: bool) -> None:
    dataset = Numbers(7, 3, 8, 1)
    arguments = dict(parts=4, window=2, drop_last=drop_last)
    parts = [weave(deal(dataset, 2, epoch, **arguments)) for epoch in range(8)]
    assert {len(part) for part in parts} == ({4} if drop_last else {6})
    (whole,) = deal(dataset, 1, 0, window=2)
    (second,) = deal(dataset, 1, 1, window=2)
    length = 4 if drop_last else 5
    for number, part in enumerate(parts):
        order = whole if number < 4 else second
        begin = number % 4 * length
        assert part == (order + order)[begin : begin + len(part)]
    if not drop_last:
        assert {index for part in parts[:4] for index in part} == {*range(19)}


def test_epochs_of_a_fixed_length_go_on_through_the_passes() -> None:
    dataset = Numbers(3, 4)
    passes = [index for number in range(4) for index in deal(dataset, 1, number)[0]]
    epochs = [weave(deal(dataset, 2, epoch, samples_per_epoch=10)) for epoch in range(2)]
    assert epochs[0] + epochs[1] == passes[:20]
    assert len(deal(dataset, 1, samples_per_epoch=2)[0]) == 2


def test_more_parts_than_fit_begin_the_pass_again() -> None:
    (whole,) = deal(Numbers(10), 1)
    parts = [deal(Numbers(10), 1, epoch, parts=7)[0] for epoch in range(7)]
    assert [index for part in parts for index in part] == (whole + whole)[:14]


def read_numbers(dataset: Any, order: list[int], num_workers: int = 0) -> list[Any]:
    loader = DataLoader(
        dataset,
        3,
        sampler=order,
        num_workers=num_workers,
        collate_fn=list,
        multiprocessing_context='fork' if num_workers else None,
    )
    return [number for batch in loader for number in batch]


@pytest.mark.parametrize('world_size', [1, 2])
def test_visits_are_counted_over_all_ranks_and_pieces(
    world_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('mmstan.datasets.shards.sampler._CHUNK', 2)
    order = weave(deal(Numbers(3), world_size, samples_per_epoch=10))
    assert [getattr(index, 'earlier', 0) for index in order] == [0] * 3 + [1] * 3 + [2] * 3 + [3]


@pytest.mark.parametrize('num_workers', [0, 1])
def test_each_visit_of_an_epoch_has_its_own_random_numbers(
    num_workers: int, tmp_path: Path
) -> None:
    dataset = Shards(str(write_shards(tmp_path, [3])), pipeline=[lambda r: np.random.rand()])
    set_epoch(dataset, 0, seed=1)
    (order,) = deal(dataset, 1, samples_per_epoch=9)
    numbers = read_numbers(dataset, order, num_workers)
    assert len({*numbers}) == 9
    assert numbers[:3] == [dataset[int(index)] for index in order[:3]]  # as it was seen but once
    both = deal(dataset, 2, samples_per_epoch=9)
    assert read_numbers(dataset, weave(both)[:9]) == numbers


def test_each_visit_of_a_small_source_has_its_own_random_numbers(tmp_path: Path) -> None:
    dataset = make_mixture(tmp_path, weights=[1, 3])
    for source in dataset.datasets:
        source.pipeline = lambda results: (results['filename'], np.random.rand())
    set_epoch(dataset, 0, seed=1)
    (order,) = deal(dataset, 1)
    assert len({*order}) < len(order)
    assert len({*read_numbers(dataset, order)}) == len(order)


def test_a_data_set_without_shards_is_shuffled_as_a_whole() -> None:
    (order,) = deal(range(100), 1)
    assert sorted(order) == [*range(100)] != order


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(window=0), 'window=0 must be 1 or more'),
        (dict(parts=0), 'parts=0 must be 1 or more'),
        (dict(samples_per_epoch=0), 'samples_per_epoch=0 with parts=1: give one'),
        (dict(samples_per_epoch=5, parts=2), 'samples_per_epoch=5 with parts=2: give one'),
    ],
)
def test_impossible_numbers_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShardSampler(Numbers(3), **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize('num_workers', [0, 2])
@pytest.mark.parametrize('world_size', [1, 2, 3])
def test_ranks_and_workers_read_each_sample_once(
    world_size: int, num_workers: int, tmp_path: Path
) -> None:
    dataset = Shards(str(write_shards(tmp_path, [4, 6, 2])), pipeline=[lambda x: x])
    met: list[str] = []
    for indices in deal(dataset, world_size, window=2):
        loader = DataLoader(
            dataset,
            2,
            sampler=indices,
            num_workers=num_workers,
            collate_fn=pseudo_collate,
            multiprocessing_context='fork' if num_workers else None,
        )
        for batch in loader:
            assert [f'video {key}'.encode() for key in batch['video_id']] == batch['video']
            met += batch['video_id']
    assert sorted(met) == sorted(dataset.get_data_info(i)['video_id'] for i in range(12))


def make_mixture(folder: Path, weights: list[float] | None = None) -> MixedClips:
    """Twelve samples in two shards, and five in one."""
    sources = [Shards(str(write_shards(folder / name, counts))) for name, counts in SOURCES]
    return MixedClips(sources, weights)


SOURCES = (('a', [4, 8]), ('b', [5]))


@pytest.mark.parametrize('world_size', [1, 2])
def test_a_mixture_has_every_sample_once_in_random_turns(world_size: int, tmp_path: Path) -> None:
    dataset = make_mixture(tmp_path)
    order = weave(deal(dataset, world_size, window=1))[:17]
    assert sorted(order) == [*range(17)]
    sources = [index >= 12 for index in order]
    assert sources != sorted(sources)
    assert order == deal(dataset, 1, window=1)[0]
    assert deal(dataset, 1, epoch=1)[0] != deal(dataset, 1)[0]


def deal_pure(dataset: Any, world_size: int, batch: int, epoch: int = 0, **arguments: Any):
    ranks = []
    for rank in range(world_size):
        with pytest.MonkeyPatch.context() as patch:
            dist = 'mmstan.datasets.shards.sampler.get_dist_info'
            patch.setattr(dist, lambda rank=rank: (rank, world_size))
            sampler = ShardSampler(dataset, seed=3, pure_batches=True, **arguments)
        sampler.divide(batch, 0)
        sampler.set_epoch(epoch)
        ranks.append([*sampler])
        assert len(ranks[-1]) == len(sampler)
    return weave(ranks)


@pytest.mark.parametrize(
    ('drop_last', 'steps'), [(True, {False: 3, True: 1}), (False, {False: 3, True: 2})]
)
def test_all_samples_of_a_step_are_of_one_source(
    drop_last: bool, steps: dict[bool, int], tmp_path: Path
) -> None:
    dataset = make_mixture(tmp_path)
    schedules = set()
    for epoch in range(6):
        order = deal_pure(dataset, 2, 2, epoch, drop_last=drop_last)
        assert order == deal_pure(dataset, 1, 4, epoch, drop_last=drop_last)
        blocks = [order[begin : begin + 4] for begin in range(0, len(order), 4)]
        of_b = [{index >= 12 for index in block} for block in blocks]
        assert all(len(source) == 1 for source in of_b)
        assert {source: of_b.count({source}) for source in (False, True)} == steps
        schedules.add(str(of_b))
    assert len(schedules) > 1


def test_weights_are_the_shares_of_a_pass(tmp_path: Path) -> None:
    dataset = make_mixture(tmp_path, weights=[1, 3])
    epochs = [deal(dataset, 1, epoch, drop_last=True)[0] for epoch in range(12)]
    assert {len(order) for order in epochs} == {16}
    shares = [sum(index >= 12 for index in order) for order in epochs]
    assert set(shares) == {12}
    # Over the passes every sample of a source comes equally often.
    counts = np.bincount([index for order in epochs for index in order], minlength=17)
    assert counts[:12].tolist() == [4] * 12
    assert set(counts[12:].tolist()) <= {28, 29}


@pytest.mark.parametrize('weights', [[1], [1, 0], [1, -1, 2]])
def test_weights_of_other_sources_are_refused(weights: list[float], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='must be 2 numbers above 0, one a data set'):
        make_mixture(tmp_path, weights)


def test_pure_batches_need_a_mixture_and_the_loop(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'pure_batches=True is for a mmstan.MixedClips, without'):
        ShardSampler(Numbers(3), pure_batches=True)
    sampler = ShardSampler(make_mixture(tmp_path), pure_batches=True, seed=1)
    with pytest.raises(ValueError, match=r'pure_batches=True needs train_cfg=.*EpochTrainLoop'):
        next(iter(sampler))


def test_samples_of_a_mixture_are_those_of_their_sources(tmp_path: Path) -> None:
    dataset = make_mixture(tmp_path)
    for source in dataset.datasets:
        source.pipeline = lambda results: results
    assert dataset[12]['filename'].endswith('b/00000.tar#00000000')
    assert dataset[11]['filename'].endswith('a/00001.tar#00001007')
    set_epoch(dataset, 3, seed=5)
    assert {tuple(source._clock.tolist()) for source in dataset.datasets} == {(5, 3)}
