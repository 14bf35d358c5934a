import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.dataset import ConcatDataset, pseudo_collate
from torch.utils.data import DataLoader

from mmstan.datasets.reliable import set_epoch
from mmstan.datasets.transforms import BrokenVideoError
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
    return torch.stack([x for batch in loader for x in batch['inputs']])


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
