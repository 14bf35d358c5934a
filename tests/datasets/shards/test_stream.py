"""Shards that are streamed: equal shares, seeded draws, faults that are replaced."""

import os
import pickle
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from helpers.resumed_run import make_config, read_losses
from helpers.shard_files import write_shard, write_shards
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmstan.datasets import Shards, ShardStream, set_epoch
from mmstan.datasets.readers import BrokenVideoError
from mmstan.datasets.shards import stream as stream_module

wds = pytest.importorskip('webdataset')


@pytest.fixture
def log(tmp_path: Path) -> Callable[[], str]:
    """What has been logged."""
    MMLogger.get_instance('stream', log_file=tmp_path / 'log')
    return (tmp_path / 'log').read_text


def make(urls: Any, *, samples: int = 24, batch: int = 2, workers: int = 0, **kwargs: Any):
    kwargs = {'buffer': 4, 'pipeline': [lambda results: results], **kwargs}
    stream = ShardStream(urls, samples_per_epoch=samples, **kwargs)
    stream.divide(batch, workers)
    set_epoch(stream, 0, seed=1)
    return stream


def list_batches(stream: ShardStream, batch: int = 2, workers: int = 0) -> list[list[str]]:
    context = 'fork' if workers else None
    loader = DataLoader(
        stream,
        batch,
        num_workers=workers,
        collate_fn=pseudo_collate,
        multiprocessing_context=context,
    )
    found = [each['video_id'] for each in loader]
    assert len(found) == len(loader)
    return found


@pytest.mark.parametrize(
    ('samples', 'batch', 'workers', 'world_size', 'expected'),
    [(24, 2, 0, 1, 12), (25, 2, 2, 1, 12), (27, 2, 2, 1, 12), (24, 3, 2, 2, 4), (23, 3, 2, 2, 2)],
)
def test_every_rank_and_worker_has_the_same_share(
    samples: int, batch: int, workers: int, world_size: int, expected: int, tmp_path: Path
) -> None:
    folder = write_shards(tmp_path, [5, 5])
    with mock.patch.object(stream_module, 'get_dist_info', lambda: (0, world_size)):
        stream = make(str(folder), samples=samples, batch=batch, workers=workers)
        batches = list_batches(stream, batch, workers)
    assert len(batches) == expected
    assert all(len(each) == batch for each in batches)


def test_samples_are_those_of_the_shards(tmp_path: Path) -> None:
    folder = write_shards(tmp_path, [5, 5])
    local = Shards(str(folder))
    known = {
        info['video_id']: (info['video'], info['captions'], info['filename'])
        for info in map(local.get_data_info, range(10))
    }
    stream = make(str(folder))
    for results in stream:
        key = results['video_id']
        assert (results['modality'], results['start_index']) == ('RGB', 0)
        assert (results['video'], results['captions'], results['filename']) == known[key]


def test_random_access_gives_what_webdataset_gives(tmp_path: Path) -> None:
    folder = write_shards(tmp_path, [4, 3])
    local = Shards(str(folder))
    with ExitStack() as stack:
        opened = [
            dict(url=str(tar), stream=stack.enter_context(open(tar, 'rb')))
            for tar in sorted(folder.glob('*.tar'))
        ]
        files = wds.tariterators.tar_file_expander(opened)
        streamed = [*wds.tariterators.group_by_keys(files)]
    for index, sample in enumerate(streamed):
        info = local.get_data_info(index)
        assert info['video_id'] == sample['__key__']
        assert (info['video'], info['captions'][0].encode()) == (sample['mp4'], sample['txt'])
    assert index == 6


def test_draws_follow_seed_epoch_rank_worker_and_batches_seen(tmp_path: Path) -> None:
    stream = make(str(write_shards(tmp_path, [8] * 8)))
    first = list_batches(stream)
    assert list_batches(stream) == first
    others = [first[:6]]
    set_epoch(stream, 1, seed=1)
    others.append(list_batches(stream)[:6])
    set_epoch(stream, 0, seed=2)
    others.append(list_batches(stream)[:6])
    set_epoch(stream, 0, seed=1)
    with mock.patch.object(stream_module, 'get_dist_info', lambda: (1, 2)):
        others.append(list_batches(stream))
    assert {len(each) for each in others} == {6}
    assert len({str(each) for each in others}) == 4


def test_spawned_workers_draw_as_their_rank(tmp_path: Path) -> None:
    stream = make(str(write_shards(tmp_path, [8] * 8)), pipeline=[dict])
    with mock.patch.object(stream_module, 'get_dist_info', lambda: (1, 2)):
        expected = list_batches(stream)
        spawned = pickle.loads(pickle.dumps(stream))  # as for a worker, which has no group
    assert len(expected) == 6
    assert list_batches(spawned) == expected
    assert list_batches(pickle.loads(pickle.dumps(spawned))) == expected


def test_resumed_statistically(tmp_path: Path, log: Callable[[], str]) -> None:
    stream = make(str(write_shards(tmp_path, [8] * 8)), workers=2)
    whole = list_batches(stream, workers=2)
    assert len(whole) == 12
    stream.skip(5)
    rest = list_batches_of_rest(stream)
    assert len(rest) == 12 - 5
    assert rest not in (whole[5:], whole[:7])  # neither the rest nor the beginning again
    assert list_batches_of_rest(stream) == rest
    assert 'resumed statistically behind batch 5: a stream draws new samples' in log()


def list_batches_of_rest(stream: ShardStream) -> list[list[str]]:
    loader = DataLoader(
        stream, 2, num_workers=2, collate_fn=pseudo_collate, multiprocessing_context='fork'
    )
    return [each['video_id'] for each in loader]


def test_weights_are_of_the_sources(tmp_path: Path) -> None:
    urls = [str(write_shards(tmp_path / name, [3] * count)) for name, count in (('a', 1), ('b', 9))]
    stream = make(urls, samples=400, weights=[3, 1], buffer=1)
    sources = Counter(results['filename'].split('/')[-2] for results in stream)
    assert sources['a'] == pytest.approx(300, abs=60)
    plain = Counter(r['filename'].split('/')[-2] for r in make(urls, samples=400, buffer=1))
    assert plain['a'] == pytest.approx(40, abs=30)


def test_a_broken_shard_is_replaced_and_counted(tmp_path: Path, log: Callable[[], str]) -> None:
    folder = write_shards(tmp_path, [5])
    (folder / '00001.tar').write_bytes(b'no tar' * 500)
    whole = (folder / '00000.tar').read_bytes()
    (folder / '00002.tar').write_bytes(whole[: whole.index(b'video 00000003') + 3])
    stream = make(str(folder))
    assert sum(1 for _ in stream) == 24
    assert stream.num_faults > 0
    assert 'cannot be read to the end (ReadError)' in log()


def test_shards_that_are_all_broken_end_the_run(tmp_path: Path) -> None:
    (tmp_path / '0.tar').write_bytes(b'no tar' * 500)
    with pytest.raises(RuntimeError, match='21 shards in a row cannot be read'):
        next(iter(make(str(tmp_path))))


@pytest.mark.parametrize(
    ('names', 'arguments', 'members'),
    [
        (['0.mp4', '0.json', '1.mp4'], {}, 'KEY.json, KEY.mp4'),
        (['0.jpg', '0.txt'], {}, 'KEY.jpg, KEY.txt'),
        (['readme'], {}, 'no KEY.ENDING at all'),
        ([], {}, 'no KEY.ENDING at all'),
        (['0.mp4', '0.txt'], dict(caption='json:a'), 'KEY.mp4, KEY.txt'),
    ],
)
def test_shards_without_a_usable_sample_end_the_run(
    names: list[str], arguments: dict[str, Any], members: str, tmp_path: Path
) -> None:
    write_shard(tmp_path / '0.tar', [(name, b'{}') for name in names])
    with pytest.raises(
        ValueError,
        match=rf"21 shards in a row, the last is {tmp_path}/0.tar, have no sample with video=.'mp4'"
        rf".* and caption='.*'; their members are {members}: set caption='json:FIELD'",
    ):
        next(iter(make(str(tmp_path), **arguments)))


def test_good_samples_behind_bad_shards_fill_the_buffer(tmp_path: Path) -> None:
    """In a row are 20 shards at most, while many more pass before the first sample is given."""
    write_shards(tmp_path, [1, 1])
    (tmp_path / '00002.tar').write_bytes(b'no tar' * 500)
    write_shard(tmp_path / '00003.tar', [('0.mp4', b'x')])
    stream = make(str(tmp_path), buffer=80)
    next(iter(stream))
    assert stream.num_faults > 20


def test_broken_videos_are_replaced_by_the_next_and_named(tmp_path: Path) -> None:
    members = [
        ('0.mp4', b'x'),
        ('0.txt', b' '),
        ('1.mp4', b'y'),
        ('1.txt', b'good'),
        ('2.txt', b''),
    ]
    write_shard(tmp_path / '0.tar', members)

    def refuse(results: dict[str, Any]) -> dict[str, Any]:
        return dict(captions=results['captions'], data_samples=mock.Mock())

    stream = make(str(tmp_path), pipeline=[refuse], buffer=1)
    samples = [*stream]
    assert {sample['captions'][0] for sample in samples} == {'good'}
    named = [s['data_samples'].set_metainfo.call_args for s in samples]
    broken = [call.args[0]['broken'][0] for call in named if call]
    assert broken[0] == (f'{tmp_path}/0.tar#0', 'has an empty caption')

    def fail(results: dict[str, Any]) -> dict[str, Any]:
        raise BrokenVideoError(results['filename'], 'cut off')

    with pytest.raises(RuntimeError, match='no readable video in 21 samples'):
        next(iter(make(str(tmp_path), pipeline=[fail])))


def test_commands_are_streams(tmp_path: Path) -> None:
    folder = write_shards(tmp_path, [5, 5])
    stream = make(f'pipe:cat {folder}/{{00000..00001}}.tar')
    assert {results['video_id'][4] for results in stream} == {'0', '1'}
    assert stream_module._translate('s3://bucket/0.tar') == 'pipe:aws s3 cp s3://bucket/0.tar -'


@pytest.mark.parametrize(('after', 'faulty'), [('; exit 1', True), ('', False)])
def test_a_command_that_fails_is_a_fault_and_not_the_end(
    after: str, faulty: bool, tmp_path: Path
) -> None:
    folder = write_shards(tmp_path, [3])
    stream = make([f'pipe:cat {folder}/00000.tar{after}'], buffer=1)
    assert sum(1 for _ in stream) == 24
    assert bool(stream.num_faults) == faulty
    mixed = make([f'pipe:cat {folder}/00000.tar', 'pipe:exit 1'], buffer=1)
    assert sum(1 for _ in mixed) == 24
    assert mixed.num_faults > 0
    more = make([f'pipe:cat {folder}/00000.tar /dev/zero'], samples=8, buffer=1)
    assert sum(1 for _ in more) == 8
    assert more.num_faults == 0  # it was stopped, and had not failed


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(video='mp4'), "video='mp4' must be a list, such as"),
        (dict(video=[]), r'video=\[\] must be a list, such as'),
        (dict(weights=[1, 2]), r'weights=\[1, 2\] must be 1 numbers of 0 or more'),
        (dict(weights=[0]), r'weights=\[0\] must be 1 numbers'),
        (dict(samples=1), 'samples_per_epoch=1 is less than a batch of 2 for each of 1 worker'),
    ],
)
def test_numbers_that_do_not_fit_are_refused(
    arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        make(str(write_shards(tmp_path, [2])), **arguments)


def test_a_large_buffer_is_warned_of(tmp_path: Path, log: Callable[[], str]) -> None:
    room = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    make(str(write_shards(tmp_path, [2])), buffer=room // 4 // 600_000 + 1)
    assert 'lower it' in log()


def test_without_webdataset_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__('sys').modules, 'webdataset', None)
    with pytest.raises(ImportError, match=r'pip install "mmstan\[stream\]"'):
        ShardStream('nowhere', samples_per_epoch=1)


def test_a_run_trains_on_a_stream_and_is_resumed(tmp_path: Path) -> None:
    folder = tmp_path / 'run'
    members = [
        (f'{i}.{k}', d) for i in range(9) for k, d in (('mp4', b'x'), ('txt', b'%d' % (i % 3)))
    ]
    write_shard(folder / 'shards/0.tar', members)
    for resume, stop_at in ((False, 5), (True, None)):
        cfg = make_config(folder, stop_at=stop_at)
        cfg.train_dataloader.dataset = dict(
            type='mmstan.ShardStream',
            urls=f'{folder}/shards',
            samples_per_epoch=18,
            pipeline=[dict(type='NoiseClip')],
        )
        cfg.experiment_name = f'sampler-{resume}'
        with pytest.raises(ValueError, match=r'set train_dataloader.sampler=None'):
            Runner.from_cfg(cfg).train()
        cfg.train_dataloader.sampler = None
        cfg.resume, cfg.experiment_name = resume, f'stream-{resume}'
        runner = Runner.from_cfg(cfg)
        if stop_at:
            with pytest.raises(KeyboardInterrupt):
                runner.train()
        else:
            runner.train()
    losses = read_losses(folder / 'losses.txt')
    assert [iteration for iteration, _ in losses] == [0, 1, 2, 3, 4, 5, *range(3, 12)]
    log = ''.join(file.read_text() for file in folder.glob('*/*.log'))
    assert log.count('resumed statistically behind batch 3') == 1
