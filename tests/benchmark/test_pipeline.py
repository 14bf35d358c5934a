"""Speed of training pipelines: on a clock of our own, and of configs with a few small videos."""

import re
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.scripts import script
from helpers.videos import numbered_frames, write_video
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.dataset import BaseDataset, Compose, RepeatDataset

from mmstan.benchmark import pipeline
from mmstan.benchmark.endless import make_endless, prepare_data
from mmstan.benchmark.measure import describe_machine
from mmstan.benchmark.videos import describe_videos
from mmstan.config.tiny import make_tiny
from mmstan.datasets import ReliableSamples, ShardSampler, VideoDataset
from mmstan.datasets.readers import BrokenVideoError, reader_problem

PROJECT = Path(__file__).parents[2]
OWN_NAMES = ['a walk (1).mp4', 'Below/UPPER.MP4', 'Below/deeper/a walk (1).mkv']


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return pipeline


@pytest.fixture(scope='module')
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three videos, one a half longer, and of files that are none."""
    folder = tmp_path_factory.mktemp('videos with spaces')
    for number, name in enumerate(OWN_NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(folder / name, numbered_frames(24 if number else 16, height=48, width=64))
    (folder / 'README.md').write_text('about them')
    (folder / '.hidden.mp4').write_text('a file manager left this')
    return folder


def config(name: str, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(PROJECT / 'tests')  # no data/ below it
    return Config.fromfile(PROJECT / f'configs/{name}.py')


# --- on a clock that only transforms and loaders turn ---


class Clock:
    """Seconds, each of which somebody has to spend."""

    now = 0.0

    def spend(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, 'perf_counter', lambda: clock.now)
    return clock


class Slow:
    """A transform that takes ``seconds``, or those of one call after the other."""

    def __init__(self, clock: Clock, *seconds: float) -> None:
        self.clock, self.seconds, self.calls = clock, seconds, 0

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        self.clock.spend(self.seconds[min(self.calls, len(self.seconds) - 1)])
        self.calls += 1
        return results


class Slower(Slow):
    """Another one."""


class Numbers(ReliableSamples, BaseDataset):
    """Five samples; a sample costs half a second beside its transforms."""

    def __init__(self, clock: Clock, *transforms: Any) -> None:
        self.clock = clock
        super().__init__(pipeline=list(transforms))

    def load_data_list(self) -> list[dict[str, Any]]:
        return [dict(number=number) for number in range(5)]

    def __getitem__(self, index: int) -> dict[str, Any]:
        self.clock.spend(0.5)
        return super().__getitem__(index)


def test_time_goes_to_the_transform_that_takes_it(tool: ModuleType, clock: Clock) -> None:
    within = SimpleNamespace(transforms=Compose([Slow(clock, 0), Slower(clock, 0)]).transforms)
    broadcast = type('Broadcast', (), dict(vars(within), __call__=lambda _, x: x))()
    transforms = [Slow(clock, 1), Slower(clock, 5), broadcast, Slow(clock, 2)]
    times = tool.time_transforms(Numbers(clock, *transforms), clips=7, repeats=2)
    assert times == {'Slow': 1, 'Slower': 5, 'Slow, Slower': 0, 'Slow 2': 2, 'rest': 0.5}
    assert transforms[0].calls == 3 * 7  # more than there are samples: they come again


def test_time_is_a_median_without_the_first_pass(tool: ModuleType, clock: Clock) -> None:
    seconds = [100.0] * 4 + [1.0] * 4 + [50.0] * 4 + [3.0]  # passes of 100, 1, 50 and 3
    dataset = Numbers(clock, Slow(clock, *seconds))
    assert tool.time_transforms(dataset, clips=4, repeats=3)['Slow'] == 3


def test_time_of_wrapped_data_and_of_broken_videos(tool: ModuleType, clock: Clock) -> None:
    class Breaks(Slow):
        def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
            super().__call__(results)
            if self.calls % 3:
                raise BrokenVideoError('some.mp4', 'each third time it can be read')
            return dict(results, data_samples=ActionDataSample())

    dataset = RepeatDataset(Numbers(clock, Breaks(clock, 2), Slow(clock, 1)), times=2)
    times = tool.time_transforms(dataset, clips=10, repeats=2)
    assert times == {'Breaks': 3 * 2, 'Slow': 1, 'rest': 0.5}


class Loader:
    """Batches of 4 without end, the first three late."""

    batch_sampler = SimpleNamespace(batch_size=4)

    def __init__(self, clock: Clock, num_workers: int) -> None:
        self.clock, self.num_workers, self.given = clock, num_workers, 0

    def __iter__(self) -> Iterator[int]:
        while True:
            self.clock.spend(60 if self.given < 3 else 2)
            self.given += 1
            yield self.given


@pytest.mark.parametrize(('workers', 'batches'), [(0, 3), (1, 3), (3, 3), (5, 5)])
def test_rate_of_a_loader(tool: ModuleType, clock: Clock, workers: int, batches: int) -> None:
    """Nine clips are three batches, or one for each worker."""
    loader = Loader(clock, workers)
    assert tool.measure_loader(loader, clips=9, repeats=1) == 4 / 2
    assert loader.given == 2 * batches


# --- of configs ---


@pytest.mark.parametrize(
    ('name', 'steps'),
    [
        ('stan/k400_b16', ['Resize', 'RandomResizedCrop', 'Resize 2']),
        ('mug_stan/msrvtt_b32', ['Resize', 'RandomResizedCrop', 'Resize 2']),
        ('dist/k400_b16_8f', ['RandomResizedCrop', 'Resize', 'Flip', 'RandomGrayscale']),
        ('dist/ek100_b16', ['RandomResizedCrop', 'Resize', 'Flip']),
    ],
)
def test_any_videos_take_the_place_of_the_data(
    name: str, steps: list[str], tool: ModuleType, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = config(name, monkeypatch)
    before = cfg.to_dict()
    torch.set_num_threads(2)
    found = tool.measure_pipeline(cfg, videos=videos, workers=0, clips=1, repeats=1)
    assert torch.get_num_threads() == 2
    assert cfg.to_dict() == before
    assert list(found['shares']) == [
        'ReadFrames',
        *steps,
        'FormatShape',
        'PackActionInputs',
        'rest',
    ]
    assert sum(found['shares'].values()) == pytest.approx(1)
    assert min(found['loader'], found['one_process'], *found['shares'].values()) > 0
    assert found['batch_size'] == cfg.train_dataloader.batch_size
    assert found['reader'] == ('pyav' if reader_problem('torchcodec') else 'torchcodec')
    assert found['videos'] == dict(
        number=3,
        probed=3,
        unreadable=0,
        width=(64, 64, 64),
        height=(48, 48, 48),
        fps=(8, 8, 8),
        seconds=(2, 3, 3),
    )


@pytest.mark.filterwarnings('ignore:This process .* is multi-threaded:DeprecationWarning')
def test_workers_and_wrapped_data(
    tool: ModuleType, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = config('quickstart/stan', monkeypatch)
    repeated = dict(type='RepeatDataset', times=2, dataset=cfg.train_dataloader.dataset)
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[repeated])
    cfg.train_dataloader.batch_size = 2
    found = tool.measure_pipeline(cfg, videos=videos, clips=2, repeats=1)
    assert (found['workers'], found['batch_size']) == (1, 2)
    assert found['loader'] > 0


def test_data_of_the_config(
    tool: ModuleType, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside a wrapper, a video that is listed twice, and one that is broken."""
    cfg = config('quickstart/stan', monkeypatch)
    (tmp_path / 'videos').mkdir()
    for name, own in (('0.mp4', OWN_NAMES[0]), ('1.mp4', OWN_NAMES[1])):
        (tmp_path / 'videos' / name).write_bytes((videos / own).read_bytes())
    (tmp_path / 'videos/2.mp4').write_text('no video')
    (tmp_path / 'list.txt').write_text('0.mp4 3\n1.mp4 1\n0.mp4 2\n2.mp4 0\n')
    dataset = dict(
        cfg.train_dataloader.dataset,
        ann_file=str(tmp_path / 'list.txt'),
        data_prefix=dict(video=str(tmp_path / 'videos')),
    )
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=dataset)
    found = tool.measure_pipeline(cfg, workers=0, clips=8, repeats=1)
    numbers = {key: found['videos'][key] for key in ('number', 'probed', 'unreadable')}
    assert numbers == dict(number=3, probed=3, unreadable=1)
    assert found['videos']['seconds'] == (2, 2.5, 3)


def test_pipelines_of_other_readers(tool: ModuleType, videos: Path, tmp_path: Path) -> None:
    (tmp_path / 'list.txt').write_text('UPPER.MP4 0\n')
    prefix = dict(video=str(videos / 'Below'))
    pipeline = [dict(type='mmaction.DecordInit'), dict(type='mmaction.DecordDecode')]
    dataset = VideoDataset(str(tmp_path / 'list.txt'), pipeline, data_prefix=prefix)
    reader, found = describe_videos(dataset)
    assert (reader, found['number'], found['seconds']) == ('DecordInit', 1, (3, 3, 3))


def test_a_pipeline_of_shards(
    tool: ModuleType, shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = config('mug_stan/pretrain/shards_b32', monkeypatch)
    make_tiny(cfg, data=shapes)
    found = tool.measure_pipeline(cfg, workers=0, clips=4, repeats=1)
    assert (found['reader'], found['videos']['number'], found['videos']['unreadable']) == (
        'pyav', 24, 0
    )  # fmt: skip
    assert found['loader'] > 0 and found['shares']['ReadFrames'] > 0
    assert ' 24 videos ' in tool.report('shards_b32', found)
    assert 'reading and decoding' in tool.report('shards_b32', found)


def test_shards_are_read_in_the_order_of_training(
    shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full shuffle would fetch another shard for almost every sample."""
    cfg = config('mug_stan/pretrain/shards_b32', monkeypatch)
    make_tiny(cfg, data=shapes)
    with prepare_data(cfg, None) as loader_cfg:
        endless = make_endless(loader_cfg, 0).batch_sampler.sampler
    own = endless.sampler
    found = list(islice(endless, 2 * len(own) + 1))
    expected: list[int] = []
    for epoch in range(3):
        own.set_epoch(epoch)
        expected += own
    assert isinstance(own, ShardSampler) and found == expected[: len(found)]
    assert expected[: len(own)] != expected[len(own) : 2 * len(own)]


def test_a_stream_is_refused(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = config('mug_stan/pretrain/shards_b32', monkeypatch)
    cfg.train_dataloader.dataset.type = 'mmstan.ShardStream'
    with pytest.raises(ValueError, match=r'shards_b32\.py: mmstan\.ShardStream has no numbered'):
        tool.measure_pipeline(cfg)


@pytest.mark.parametrize('clips', [dict(clips=0), dict(repeats=0), dict(workers=-1)])
def test_numbers_that_are_too_small(clips: dict[str, int], tool: ModuleType) -> None:
    ((name, value),) = clips.items()
    with pytest.raises(ValueError, match=rf'{name}={value} must be at least {value + 1}'):
        tool.measure_pipeline(Config(), **clips)


def test_nothing_to_measure(
    tool: ModuleType, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = config('stan/k400_b16', monkeypatch)
    with pytest.raises(
        FileNotFoundError, match=r'_list_videos\.txt.*docs/data\.md.*--videos FOLDER'
    ):
        tool.measure_pipeline(cfg)
    with pytest.raises(ValueError, match='must be a folder with video files'):
        tool.measure_pipeline(cfg, videos=tmp_path)
    (tmp_path / 'clip.mp4').write_text('no video')
    with pytest.raises(ValueError, match=rf'none of 1 videos .* {tmp_path}/clip.mp4: .*opened'):
        tool.measure_pipeline(cfg, videos=tmp_path, workers=0)
    cfg.train_dataloader.dataset.type = 'RawframeDataset'
    with pytest.raises(ValueError, match=r"type='RawframeDataset' .* must be VideoDataset"):
        tool.measure_pipeline(cfg, videos=videos)
    cfg.pop('train_dataloader')
    with pytest.raises(ValueError, match=r'k400_b16\.py has no train_dataloader'):
        tool.measure_pipeline(cfg, videos=videos)


# --- what is said ---


@pytest.mark.parametrize(
    ('rate', 'appetite', 'one_process', 'says'),
    [
        (8, None, 4, 'the pipeline gives 8.0 clips/s; what the model takes has not been measured'),
        (8, 20, 0, 'the model starves: it takes 20.0 clips/s and the pipeline gives 8.0 clips/s'),
        (8, 20, 4, r'the model starves: .*about 5 workers .*\(an estimate: 4.0 clips/s for each\)'),
        (8, 20.1, 4, 'the model starves: .*about 6 workers'),
        (30, 20, 7, 'the model does not starve: it takes 20.0 .*gives 30.0 .*about 3 workers'),
        (30, 3, 7, 'the model does not starve: .*about 1 worker on'),
    ],
)
def test_verdict(
    rate: float, appetite: float | None, one_process: float, says: str, tool: ModuleType
) -> None:
    text = tool.judge_rates(rate, appetite, one_process=one_process)
    assert re.match(says, text), text
    assert ('estimate' in text) == bool(appetite and one_process)


def test_command(
    tool: ModuleType, videos: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(PROJECT / 'tests')
    configs = [
        str(PROJECT / f'configs/quickstart/{name}.py') for name in ('stan', 'retrieval_stan')
    ]
    options = ['--workers', '0', '--clips', '1', '--repeats', '1']
    monkeypatch.setattr(sys, 'argv', ['tool.py', *configs, '--videos', str(videos), *options])
    script('benchmarks/pipelines').main()
    out = capsys.readouterr().out
    assert re.search(rf'^{re.escape(describe_machine())}, \d+ cores$', out, re.MULTILINE)
    for path in configs:
        assert f'\n{path}\n  3 videos (3 looked at, 0 of them unreadable), reader: ' in out
    assert out.count('  64 x 48 pixels, 8 frames/s, 3 (2 to 3) s\n') == 2
    monkeypatch.setattr(sys, 'argv', ['tool.py', *configs])
    with pytest.raises(SystemExit, match=r'^error: .*--videos FOLDER.*$'):
        script('benchmarks/pipelines').main()
