"""A run on shards that was stopped in mid-epoch goes on with the samples and losses it had left."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from helpers.gloo_processes import run_ranks
from helpers.resumed_run import BATCHES, EPOCHS, make_config, read_losses, use_shards
from helpers.shard_files import write_shard
from mmengine.runner import Runner

from mmstan.datasets.shards.files import ShardFiles

TOTAL = BATCHES * EPOCHS
STOP = 8  # the iteration that ends the first run, in the second of three epochs

# PyTorch cannot know that the optimiser stepped before the interruption.
pytestmark = pytest.mark.filterwarnings('ignore:Detected call of `scheduler.step:UserWarning')


def train(
    folder: Path, *, resume: bool = False, stop_at: int | None = None, **changes: Any
) -> tuple[list[tuple[int, float]], dict[int, list[str]]]:
    """Losses, and the samples of each iteration; those of a resumed run begin at its first."""
    cfg = make_config(folder, losses=f'losses-{resume}.txt', stop_at=stop_at)
    use_shards(cfg, folder)
    cfg.custom_hooks[-1]['file'] = f'{folder}/samples-{resume}.txt'
    name = f'{folder.parent.name}-{folder.name}-{resume}'
    cfg.merge_from_dict(dict(changes, resume=resume, experiment_name=name))
    runner = Runner.from_cfg(cfg)
    if stop_at is None:
        runner.train()
    else:
        with pytest.raises(KeyboardInterrupt):
            runner.train()
    losses = read_losses(folder / f'losses-{resume}.txt')
    return losses, read_samples(folder / f'samples-{resume}.txt.0')


def read_samples(file: Path) -> dict[int, list[str]]:
    lines = [line.split() for line in file.read_text().splitlines()]
    return {int(iteration): names for iteration, *names in lines}


@pytest.fixture(scope='module')
def uninterrupted(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[list[tuple[int, float]], dict[int, list[str]]]:
    return train(tmp_path_factory.mktemp('uninterrupted'))


def test_each_epoch_has_every_sample_once_but_the_broken_one(
    uninterrupted: tuple[Any, dict[int, list[str]]],
) -> None:
    for epoch in range(EPOCHS):
        batches = range(epoch * BATCHES, (epoch + 1) * BATCHES)
        names = [name for batch in batches for name in uninterrupted[1][batch]]
        assert len(names) == 18
        assert len(set(names)) == 17  # the broken one was replaced by another
        assert '00001.tar#00001002' not in names


def test_resumed_to_the_bit_and_nothing_is_read_twice(
    uninterrupted: tuple[list[tuple[int, float]], dict[int, list[str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    losses, samples = train(tmp_path, stop_at=STOP)
    assert losses == uninterrupted[0][: STOP + 1]
    read: list[str] = []
    original = ShardFiles.read
    monkeypatch.setattr(
        ShardFiles, 'read', lambda self, *args: read.append(args[-1]) or original(self, *args)
    )
    losses, samples = train(tmp_path, resume=True)
    first = losses[0][0]
    assert 5 < first <= STOP  # from the last checkpoint, in mid-epoch
    assert losses == uninterrupted[0][first:]
    assert samples == {i: uninterrupted[1][i] for i in range(first, TOTAL)}
    # Each sample once, and a replacement of the broken one in each of the two epochs.
    broken = sum('00001.tar#00001002' in name for name in read)
    assert len(read) == sum(map(len, samples.values())) + broken


def train_two(folder: Path) -> None:
    """What one of two processes does, with half of the batch."""
    cfg = make_config(folder, stop_at=STOP)
    use_shards(cfg, folder)
    cfg.merge_from_dict({'train_dataloader.batch_size': 2, 'env_cfg.dist_cfg.backend': 'gloo'})
    cfg.launcher = 'pytorch'
    cfg.custom_hooks[-2]['file'] += '.two'
    with suppress(KeyboardInterrupt):
        Runner.from_cfg(cfg).train()


def test_one_process_goes_on_with_the_samples_of_two(
    uninterrupted: tuple[Any, dict[int, list[str]]], tmp_path: Path
) -> None:
    run_ranks(f'{__file__}:train_two', tmp_path)
    ranks = [read_samples(tmp_path / f'samples.txt.{rank}') for rank in (0, 1)]
    for iteration in range(STOP + 1):
        both = [name for pair in zip(*(rank[iteration] for rank in ranks)) for name in pair]
        assert both == uninterrupted[1][iteration]
    _, samples = train(tmp_path, resume=True)
    assert samples == {i: uninterrupted[1][i] for i in range(min(samples), TOTAL)}
    assert 5 < min(samples) <= STOP
    log = ''.join(file.read_text() for file in tmp_path.glob('*/*.log'))
    assert 'begins again' not in log


@pytest.mark.parametrize('drop_last', [False, True])
def test_a_batch_of_more_samples_than_there_are_is_refused(drop_last: bool, tmp_path: Path) -> None:
    message = 'is 19 samples, and the data set has 18|has 18 samples; no batch of 19 is full'
    with pytest.raises(ValueError, match=message):
        changes = {'train_dataloader.batch_size': 19, 'train_dataloader.drop_last': drop_last}
        train(tmp_path, **changes)


@pytest.mark.parametrize(
    ('changes', 'difference'),
    [
        ({'train_dataloader.sampler.window': 1}, 'window 2 -> 1'),
        ({'train_dataloader.sampler.seed': 5}, ''),  # the checkpoint's seed wins
        ({}, 'the annotations have other samples'),  # the shards changed
        ({'train_dataloader.batch_size': 6}, 'global_batch 4 -> 6'),
    ],
)
def test_other_shards_or_batches_begin_the_epoch_again(
    changes: dict[str, Any], difference: str, tmp_path: Path
) -> None:
    train(tmp_path, stop_at=STOP)
    if not changes:
        parts = (('mp4', b'x' * 9999), ('txt', b'1'))
        members = [(f'{key:08d}.{ending}', data) for key in range(6) for ending, data in parts]
        write_shard(tmp_path / 'shards/00000.tar', members)
    train(tmp_path, resume=True, **changes)
    log = ''.join(file.read_text() for file in tmp_path.glob('*/*.log'))
    assert difference in log
    assert ('epoch 2 begins again' in log) == bool(difference)


def test_pure_batches_of_a_mixture_are_resumed(tmp_path: Path) -> None:
    runs = []
    for name, stop_at in (('whole', None), ('parts', 4), ('parts', None)):
        folder, resume = tmp_path / name, name == 'parts' and stop_at is None
        cfg = make_config(folder, stop_at=stop_at)
        use_shards(cfg, folder, broken=())
        # Shards 0 and 1 are one source, shard 2 is the other.
        parts = [dict(cfg.train_dataloader.dataset, urls=f'{folder}/shards/{{{part}}}.tar')
                 for part in ('00000..00001', '00002,00002')]  # fmt: skip
        cfg.train_dataloader.dataset = dict(type='mmstan.MixedClips', datasets=parts)
        cfg.train_dataloader.sampler.update(pure_batches=True)
        cfg.custom_hooks[-1]['file'] = f'{folder}/samples-{resume}.txt'
        cfg.merge_from_dict(dict(resume=resume, experiment_name=f'mixture-{name}-{resume}'))
        runner = Runner.from_cfg(cfg)
        if stop_at:
            with pytest.raises(KeyboardInterrupt):
                runner.train()
            continue
        runner.train()
        runs.append(read_samples(folder / f'samples-{resume}.txt.0'))
    whole, rest = runs
    assert all(len({name[:5] == '00002' for name in names}) == 1 for names in whole.values())
    assert rest == {i: names for i, names in whole.items() if i >= 3}
