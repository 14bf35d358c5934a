import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.videos import numbered_frames, write_video
from mmaction.structures import ActionDataSample
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset, pseudo_collate
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader

from mmstan.datasets import AVADataset, CaptionsJson, EpicKitchens, ImageText
from mmstan.datasets.readers import BrokenVideoError
from mmstan.datasets.reliable import ReliableSamples, set_epoch
from mmstan.datasets.video_dataset import VideoDataset

LENGTH = 12


def draw(results: dict[str, Any]) -> dict[str, Any]:
    """A pipeline: random numbers of three kinds; files called broken are."""
    numbers = [random.random(), np.random.rand(), torch.rand(()).item()]
    if 'broken' in Path(results['filename']).name and not results.get('blank'):
        raise BrokenVideoError(results['filename'], 'cut off')
    sample = ActionDataSample().set_gt_label(results['label'])
    sample.set_metainfo(dict(name=Path(results['filename']).name))
    return dict(inputs=torch.tensor(numbers, dtype=torch.float64), data_samples=sample)


def make(tmp_path: Path, broken: tuple[int, ...] = (), **kwargs: Any) -> VideoDataset:
    names = [f'broken{i}.mp4' if i in broken else f'{i}.mp4' for i in range(LENGTH)]
    ann_file = tmp_path / 'list.txt'
    ann_file.write_text(''.join(f'{name} {i}\n' for i, name in enumerate(names)))
    prefix = dict(video=str(tmp_path))
    return VideoDataset(str(ann_file), pipeline=[draw], data_prefix=prefix, **kwargs)


def numbers(dataset: Any, num_workers: int = 0, **kwargs: Any) -> torch.Tensor:
    loader = DataLoader(dataset, 4, num_workers=num_workers, collate_fn=pseudo_collate, **kwargs)
    batches = iter(loader)
    try:
        return torch.stack([x for batch in batches for x in batch['inputs']])
    finally:
        if num_workers:  # collected as garbage, behind an error, they take seconds to end
            batches._shutdown_workers()


def test_randomness_does_not_depend_on_workers(tmp_path: Path):
    dataset = make(tmp_path)
    set_epoch(dataset, 3, seed=5)
    inline = numbers(dataset)
    assert torch.equal(inline, numbers(dataset, num_workers=1))
    assert torch.equal(inline, numbers(dataset, num_workers=2, multiprocessing_context='fork'))
    assert inline.flatten().unique().numel() == inline.numel()


def test_epoch_reaches_workers_that_live_on(tmp_path: Path):
    dataset = make(tmp_path)
    loader = DataLoader(
        dataset, 4, num_workers=1, persistent_workers=True, collate_fn=pseudo_collate
    )
    found = []
    for epoch in (0, 1, 0):
        set_epoch(dataset, epoch, seed=5)
        found.append(torch.stack([x for batch in loader for x in batch['inputs']]))
    assert not torch.isin(found[0], found[1]).any()
    loader._iterator._shutdown_workers()
    assert torch.equal(found[0], found[2])


def test_streams_of_the_process_are_left_alone(tmp_path: Path):
    dataset = make(tmp_path, broken=(0,))
    set_epoch(dataset, 0, seed=0)
    expected = [random.random(), np.random.rand(), torch.rand(()).item()]
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    dataset[0], dataset[1]
    assert [random.random(), np.random.rand(), torch.rand(()).item()] == expected


def test_without_a_loop_training_draws_from_the_process(tmp_path: Path):
    train, test = make(tmp_path), make(tmp_path, test_mode=True)
    assert not torch.equal(train[0]['inputs'], train[0]['inputs'])
    assert torch.equal(test[0]['inputs'], test[0]['inputs'])


def test_set_epoch_finds_data_sets_inside_wrappers(tmp_path: Path):
    both = ConcatDataset([make(tmp_path), make(tmp_path)])
    set_epoch(both, 0, seed=1)
    first = numbers(both)
    set_epoch(both, 1, seed=1)
    assert not torch.isin(first, numbers(both)).any()


def test_repeated_samples_are_pointed_out(tmp_path: Path):
    MMLogger.get_instance('repeat', log_file=tmp_path / 'log')
    repeated = RepeatDataset(make(tmp_path), times=2)
    set_epoch(repeated, 0, seed=1)
    assert torch.equal(*numbers(repeated).chunk(2))  # why it is worth a warning
    assert 'RepeatDataset shows a sample several times' in (tmp_path / 'log').read_text()


def test_broken_videos_are_replaced_and_named(tmp_path: Path):
    broken = (0, 4, 5, 6, 7, 8)
    dataset = make(tmp_path, broken=broken)
    set_epoch(dataset, 0, seed=0)
    samples = [dataset[i]['data_samples'] for i in range(LENGTH)]
    for index, sample in enumerate(samples):
        assert 'broken' not in sample.name
        assert f'{sample.gt_label.item()}.mp4' == sample.name
        failed = sample.metainfo.get('broken', [])
        assert bool(failed) == (index in broken)
        if failed:
            assert failed[0] == (str(tmp_path / f'broken{index}.mp4'), 'cut off')
    replacements = [sample.name for index, sample in enumerate(samples) if index in broken]
    assert len(set(replacements)) > 1
    assert [dataset[i]['data_samples'].name for i in broken] == replacements
    set_epoch(dataset, 1, seed=0)
    assert [dataset[i]['data_samples'].name for i in broken] != replacements


def test_nothing_readable_is_an_error_that_names_files(tmp_path: Path):
    dataset = make(tmp_path, broken=tuple(range(LENGTH)), max_refetch=3)
    with pytest.raises(RuntimeError, match=r'in 4 attempts for sample 2; .*broken2\.mp4: cut off'):
        dataset[2]


@pytest.mark.parametrize('test_mode', [False, True])
def test_indices_are_those_of_a_list(test_mode: bool, tmp_path: Path):
    dataset = make(tmp_path, broken=(11,), test_mode=test_mode, skip_broken=test_mode)
    set_epoch(dataset, 2, seed=5)
    for index in (-1, -5, -LENGTH, np.int64(-1)):
        sample, same = dataset[index], dataset[int(index) + LENGTH]
        assert torch.equal(sample['inputs'], same['inputs'])
        assert sample['data_samples'].name == same['data_samples'].name
    for index in (LENGTH, -LENGTH - 1):
        with pytest.raises(IndexError):
            dataset[index]


@pytest.mark.parametrize('num_workers', [0, 1])
def test_testing_stops_with_the_name(num_workers: int, tmp_path: Path):
    with pytest.raises(RuntimeError, match=r'broken5\.mp4'):
        numbers(make(tmp_path, broken=(5,), test_mode=True), num_workers)


def test_skip_broken_flags_blank_samples(tmp_path: Path):
    dataset = make(tmp_path, broken=(5,), test_mode=True, skip_broken=True)
    samples = [dataset[i]['data_samples'] for i in range(LENGTH)]
    flagged = [sample.name for sample in samples if 'broken' in sample]
    assert flagged == ['broken5.mp4']
    assert samples[5].broken == [(str(tmp_path / 'broken5.mp4'), 'cut off')]


def test_skip_broken_is_refused_in_training(tmp_path: Path):
    with pytest.raises(ValueError, match='skip_broken=True is for testing'):
        make(tmp_path, skip_broken=True)


@pytest.mark.parametrize(
    ('ann_file', 'video', 'message'),
    [('none.txt', '.', r"ann_file='.*none.txt' does not exist; prepare"), ('', 'none', 'a folder')],
)
def test_missing_data_says_what_to_prepare(ann_file: str, video: str, message: str, tmp_path: Path):
    make(tmp_path)
    path = tmp_path / (ann_file or 'list.txt')
    with pytest.raises(FileNotFoundError, match=message):
        VideoDataset(str(path), [draw], data_prefix=dict(video=str(tmp_path / video)))


FILES = ('whole.mp4', 'truncated.mp4', 'empty.mp4', 'text.mp4', 'missing.mp4')


@pytest.mark.parametrize('test_mode', [False, True])
def test_real_files(test_mode: bool, tmp_path: Path):
    """A pipeline of stock parts around ReadFrames, over every way in which a file is broken."""
    whole = write_video(tmp_path / 'whole.mp4', numbered_frames(12))
    (tmp_path / 'truncated.mp4').write_bytes(whole.read_bytes()[:600])
    (tmp_path / 'empty.mp4').touch()
    (tmp_path / 'text.mp4').write_text('not a video' * 100)
    (tmp_path / 'list.txt').write_text(''.join(f'{name} 0\n' for name in FILES))
    pipeline = [
        dict(type='mmstan.ReadFrames', sampler=dict(type='mmstan.SampleSegments', num_frames=4)),
        dict(type='Resize', scale=(32, 32), keep_ratio=False),
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs'),
    ]
    with DefaultScope.overwrite_default_scope('mmaction'):
        dataset = VideoDataset(
            str(tmp_path / 'list.txt'),
            pipeline,
            data_prefix=dict(video=str(tmp_path)),
            test_mode=test_mode,
            skip_broken=test_mode,
        )
    set_epoch(dataset, 0, seed=0)
    samples = [dataset[i] for i in range(len(FILES))]
    assert {sample['inputs'].shape for sample in samples} == {(1, 3, 4, 32, 32)}
    for name, sample in zip(FILES, samples):
        broken = dict(sample['data_samples'].metainfo.get('broken', ()))
        assert (str(tmp_path / name) in broken) == (name != 'whole.mp4')
        assert bool(sample['inputs'].any()) == (name == 'whole.mp4' or not test_mode)


@pytest.mark.parametrize(
    ('cls', 'key'),
    [
        (VideoDataset, 'video'),
        (AVADataset, 'video'),
        (EpicKitchens, 'video'),
        (CaptionsJson, 'video'),
        (ImageText, 'img'),
    ],
)
@pytest.mark.parametrize(
    'prefix',
    [dict(image='a'), dict(video='a', videos='b'), dict(img='a', video='b'), 'a', dict(video=None)],
)
def test_data_prefix_has_one_key(cls: Any, key: str, prefix: Any) -> None:
    message = f'data_prefix={prefix!r} of {cls.__name__} must be dict({key}=FOLDER), without other'
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        cls('list', data_prefix=prefix, data_root='data', pipeline=[])
    assert '\n' not in str(error.value)


def test_the_other_base_may_prepare_its_own_samples(tmp_path: Path) -> None:
    class Theirs(BaseDataset):
        def prepare_data(self, idx: int) -> list[int]:
            return [idx, idx]

    class Both(ReliableSamples, Theirs):
        def load_data_list(self) -> list[dict[str, Any]]:
            return [{}, {}]

    assert Both(pipeline=[])[1] == [1, 1]
