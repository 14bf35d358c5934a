import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from mmaction.datasets.transforms import SampleFrames
from mmengine.dataset import Compose, ConcatDataset
from mmengine.logging import MMLogger
from torch.utils.data import Subset

from mmstan.datasets import (
    MSRVTT,
    MSVD,
    CaptionsJson,
    VideoTextDataset,
    count_missing,
    set_epoch,
)

CAPTIONS = {f'{i}.mp4': [f'{i} {word}' for word in 'abcd'] for i in range(12)}


@pytest.fixture
def log(tmp_path: Path) -> Callable[[], str]:
    """What has been logged."""
    MMLogger.get_instance('video_text', log_file=tmp_path / 'log')
    return (tmp_path / 'log').read_text


def make(
    root: Path,
    captions: dict[str, Any] = CAPTIONS,
    files: Sequence[str] | None = None,
    cls: type[VideoTextDataset] = CaptionsJson,
    **arguments: Any,
) -> VideoTextDataset:
    (root / 'videos').mkdir(parents=True)
    for name in captions if files is None else files:
        path = root / 'videos' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (root / 'captions.json').write_text(json.dumps(captions))
    arguments.setdefault('data_prefix', dict(video='videos'))
    return cls('captions.json', data_root=str(root), pipeline=[dict], **arguments)


def make_msrvtt(root: Path, files: Sequence[str], video_list: str = 'train.csv', **arguments: Any):
    sentences = [dict(video_id=f'video{i}', caption='text') for i in range(3)]
    (root / video_list).write_text('video_id\n' + ''.join(f'video{i}\n' for i in range(3)))
    captions = dict(sentences=sentences)
    return make(root, captions, files, MSRVTT, video_list=video_list, **arguments)


def told(dataset: VideoTextDataset) -> list[str]:
    samples = [dataset[i] for i in range(len(dataset))]
    assert all(len(sample['captions']) == 1 for sample in samples)
    return [sample['captions'][0] for sample in samples]


def test_random_captions_follow_seed_epoch_and_index(tmp_path: Path) -> None:
    dataset = make(tmp_path, pairs='random')
    assert len(dataset) == len(CAPTIONS)
    epochs = []
    for epoch in range(30):
        set_epoch(dataset, epoch, seed=1)
        epochs.append(told(dataset))
        assert [text.split()[0] + '.mp4' for text in epochs[-1]] == list(CAPTIONS)
    set_epoch(dataset, 3, seed=1)
    assert told(dataset) == epochs[3]
    assert told(dataset)[::-1] == [dataset[i]['captions'][0] for i in reversed(range(12))]
    set_epoch(dataset, 3, seed=2)
    assert told(dataset) != epochs[3] != epochs[4]
    assert {text for texts in epochs for text in texts} == {
        text for texts in CAPTIONS.values() for text in texts
    }


def test_expanded_and_whole(tmp_path: Path) -> None:
    train = make(tmp_path)
    assert told(train) == [text for texts in CAPTIONS.values() for text in texts]
    test = CaptionsJson(
        'captions.json',
        data_root=str(tmp_path),
        data_prefix=dict(video='videos'),
        test_mode=True,
        pipeline=[dict],
    )
    assert {test[i]['video_id']: test[i]['captions'] for i in range(len(test))} == CAPTIONS
    assert [test[i]['sample_idx'] for i in range(len(test))] == list(range(12))


def count_frames(results: dict[str, Any]) -> dict[str, Any]:
    """In the place of DecordInit."""
    return dict(results, total_frames=40, avg_fps=8.0)


@pytest.mark.parametrize('test_mode', [False, True])
def test_stock_samplers_find_their_keys(test_mode: bool, tmp_path: Path) -> None:
    dataset = make(tmp_path, test_mode=test_mode)
    stock = SampleFrames(clip_len=4, frame_interval=1, num_clips=1, test_mode=True)
    dataset.pipeline = Compose([count_frames, stock])
    assert dataset[0]['frame_inds'].tolist() == [18, 19, 20, 21]
    assert dataset[0]['modality'] == 'RGB'
    assert 'start_index' not in dataset.get_data_info(0)  # a resumed run compares these


@pytest.mark.parametrize(
    ('pairs', 'test_mode', 'allowed'),
    [('all', False, 'expand'), ('random', True, 'all'), ('expand', True, 'all'), ('x', False, '')],
)
def test_pairs_that_do_not_fit(pairs: Any, test_mode: bool, allowed: str) -> None:
    message = rf"pairs='{pairs}' with test_mode={test_mode} must be one of \('{allowed}"
    with pytest.raises(ValueError, match=message):
        CaptionsJson('', pairs=pairs, test_mode=test_mode)


def test_missing_must_be_known() -> None:
    with pytest.raises(ValueError, match=r"missing='skip' must be 'error' or 'report'"):
        CaptionsJson('', missing='skip')  # type: ignore[arg-type]


INCOMPLETE = {'0.mp4': ['a'], '1.mp4': ['b'], '2.mp4': [], '3.mp4': [' '], '4.mp4': ['c', '']}
LEFT_OUT = (
    '3 of 5 videos of {root}/captions.json are missing: '
    '2 without captions in {root}/captions.json (2.mp4, 3.mp4); '
    '1 without a file in {root}/videos (1.mp4)'
)


@pytest.mark.parametrize('test_mode', [False, True])
def test_missing_videos_are_counted_and_named(
    test_mode: bool, log: Callable[[], str], tmp_path: Path
) -> None:
    missing = dict(missing='report') if test_mode else {}
    files = ['0.mp4', '2.mp4', '3.mp4', '4.mp4']
    dataset = make(tmp_path, INCOMPLETE, files, test_mode=test_mode, **missing)
    assert told(dataset) == ['a', 'c']
    assert dataset.missing_videos == ['2.mp4', '3.mp4', '1.mp4']
    assert dataset.num_missing == 3
    assert dataset.get_subset([0]).num_missing == 3
    assert LEFT_OUT.format(root=tmp_path) in log()


@pytest.mark.parametrize(
    'arguments', [dict(test_mode=True), dict(missing='error')], ids=['test', 'training']
)
def test_missing_videos_stop(arguments: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        make(tmp_path, INCOMPLETE, ['0.mp4', '2.mp4', '3.mp4', '4.mp4'], **arguments)
    assert LEFT_OUT.format(root=tmp_path) in str(error.value)


def test_sets_with_different_losses_are_joined(tmp_path: Path) -> None:
    names = [f'{i}.mp4' for i in range(5)]
    whole = make(tmp_path / 'one', INCOMPLETE, names[:1] + names[2:])
    fewer = make(tmp_path / 'other', INCOMPLETE, names[:1])
    both = ConcatDataset([whole, fewer])
    assert len(both) == 2 + 1
    assert (whole.num_missing, fewer.num_missing) == (3, 4)
    assert count_missing(both) == count_missing(Subset(both, [0])) == 7


def test_nothing_missing(log: Callable[[], str], tmp_path: Path) -> None:
    assert make(tmp_path).num_missing == 0
    assert not log()


def test_long_lists_of_missing_videos_are_cut(log: Callable[[], str], tmp_path: Path) -> None:
    dataset = make(tmp_path, CAPTIONS, ['0.mp4'])
    assert dataset.num_missing == 11
    assert '(1.mp4, 2.mp4, 3.mp4, 4.mp4, 5.mp4, and 6 more)' in log()


def test_no_video_at_all(tmp_path: Path) -> None:
    files = ['a.txt', 'b.mp4', 'c.mp4', 'd.mp4']
    wanted = r"wanted \['0\.mp4', '1\.mp4', '2\.mp4'\], found \['a\.txt', 'b\.mp4', 'c\.mp4'\]"
    with pytest.raises(FileNotFoundError, match=rf'none of the 12 videos: {wanted}: check'):
        make(tmp_path, CAPTIONS, files, missing='report')


def test_no_caption_at_all(tmp_path: Path) -> None:
    (tmp_path / 'list.txt').write_text('x\ny\n')
    message = r"none of the 2 videos of .*list\.txt' has a caption: wanted \['x', 'y'\], found cap"
    with pytest.raises(ValueError, match=message):
        make(tmp_path, video_list='list.txt')


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data_prefix='.*nowhere' is not a folder; put"):
        make(tmp_path, data_prefix=dict(video='nowhere'))


@pytest.mark.parametrize(
    ('files', 'found'),
    [
        (['video0.mp4', 'video1.webm', 'video2.AVI'], ['video0.mp4', 'video1.webm', 'video2.AVI']),
        (['video0', 'video0.mp4', 'video1.', 'video2.mkv'], ['video0', 'video1.', 'video2.mkv']),
        (['video0.mp4', 'video1.json', 'video2.mp4.part'], ['video0.mp4']),
        (['video0.mp4', 'video1/frame.mp4', 'sub/video2.mp4'], ['video0.mp4']),
        (['video0.mp4', 'video01.mp4', 'xvideo2.mp4'], ['video0.mp4']),
    ],
)
def test_files_by_name_and_stem(files: list[str], found: list[str], tmp_path: Path) -> None:
    dataset = make_msrvtt(tmp_path, files)
    names = [Path(dataset[i]['filename']).name for i in range(len(dataset))]
    assert names == found
    assert dataset.num_missing == 3 - len(found)


def test_files_of_one_stem_are_pointed_out(log: Callable[[], str], tmp_path: Path) -> None:
    files = ['video0.webm', 'video0.mp4', 'video0.txt', 'video1.mp4', 'video2.mp4']
    dataset = make_msrvtt(tmp_path, files)
    assert dataset[0]['filename'] == str(tmp_path / 'videos/video0.mp4')
    assert '1 of 3 videos have several files' in log()
    assert "video0.mp4', " in log() and "video0.webm']" in log()


def test_the_very_name_goes_first(log: Callable[[], str], tmp_path: Path) -> None:
    dataset = make(tmp_path, {'a.mov': ['text']}, ['a.avi', 'a.mov', 'a.mp4'])
    assert dataset[0]['filename'] == str(tmp_path / 'videos/a.mov')
    assert not log()


def test_folders_are_walked_through_links(tmp_path: Path) -> None:
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere/x_1_2.avi').touch()
    (tmp_path / 'videos').mkdir()
    (tmp_path / 'videos/part').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'elsewhere/back').symlink_to(tmp_path / 'videos')
    (tmp_path / 'captions.pkl').write_bytes(b"(dS'x_1_2'\n(l(lS'a'\naas.")
    dataset = MSVD('captions.pkl', data_root=str(tmp_path), data_prefix=dict(video='videos'))
    assert dataset.get_data_info(0)['filename'] == str(tmp_path / 'videos/part/x_1_2.avi')


def test_remote_videos_are_not_looked_up(tmp_path: Path) -> None:
    prefix = dict(video='s3://bucket/videos')
    dataset = make(tmp_path, {'a.webm': ['x'], 'b': ['y']}, [], data_prefix=prefix)
    files = [dataset[i]['filename'] for i in range(2)]
    assert files == ['s3://bucket/videos/a.webm', 's3://bucket/videos/b.mp4']
    assert dataset.num_missing == 0


def test_absolute_paths(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / 'list.txt').write_text('3.mp4\n\n3.mp4\n')
    dataset = CaptionsJson(
        str(tmp_path / 'captions.json'),
        video_list=str(tmp_path / 'list.txt'),
        data_root='elsewhere',
        data_prefix=dict(video=str(tmp_path / 'videos')),
        test_mode=True,
    )
    assert [dataset.get_data_info(i)['video_id'] for i in range(len(dataset))] == ['3.mp4']


@pytest.mark.parametrize(('name', 'warned'), [('MSRVTT_train.9k.csv', True), ('a.csv', False)])
def test_sizes_that_differ_from_the_papers(
    name: str, warned: bool, log: Callable[[], str], tmp_path: Path
) -> None:
    make_msrvtt(tmp_path, [f'video{i}.mp4' for i in range(3)], name)
    assert ('lists 3 videos, as distributed it is 9000' in log()) == warned


def test_what_is_left_out_or_shared_is_told(log: Callable[[], str], tmp_path: Path) -> None:
    captions = {'a.mp4': ['one', ' ', 'two'], 'a.avi': [''], 'a.mov': ['three']}
    dataset = make(tmp_path, captions, ['a.mp4'], missing='report')
    assert told(dataset) == ['one', 'two', 'three']
    assert f'{tmp_path}/captions.json has 2 empty captions, which are left out' in log()
    shared = '1 of 2 videos have the file of another one, e.g. a.mov that of a.mp4'
    assert shared in log()
