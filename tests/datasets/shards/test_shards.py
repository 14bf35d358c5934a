"""Samples of tar files: which there are, what they give, and what is said of the others."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.shard_files import make_members, write_shard, write_shards
from helpers.videos import frame_number, numbered_frames, write_video
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader

from mmstan.datasets import Shards, set_epoch
from mmstan.datasets.fingerprint import fingerprint
from mmstan.datasets.readers import BrokenVideoError


@pytest.fixture
def log(tmp_path: Path) -> Callable[[], str]:
    """What has been logged."""
    MMLogger.get_instance('shards', log_file=tmp_path / 'log')
    return (tmp_path / 'log').read_text


def list_samples(dataset: Shards) -> list[tuple[str, bytes, str]]:
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    assert [info['sample_idx'] for info in infos] == [*range(len(dataset))]
    return [(info['video_id'], info['video'], *info['captions']) for info in infos]


def test_samples_have_the_bytes_and_captions_of_their_members(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / 'a', [3, 2])
    dataset = Shards(str(folder))
    assert list_samples(dataset) == [
        (f'{key:08d}', f'video {key:08d}'.encode(), f'caption {key}')
        for key in (0, 1, 2, 1000, 1001)
    ]
    assert dataset.get_data_info(3)['filename'] == f'{folder}/00001.tar#00001000'
    assert dataset.num_missing == 0
    assert dataset.shard_starts.tolist() == [0, 3, 5]


def test_every_fault_is_counted_by_its_kind(tmp_path: Path, log: Callable[[], str]) -> None:
    members = [
        ('00001000_0000.json', b'{"clip_subtitles": [{"lines": ["take", "it"]}, {"lines": "up"}]}'),
        ('00001000_0000.mp4', b'no text'),
        ('sub/00001001.mp4', b'in a folder'),
        ('sub/00001001.m4a', b'not read'),
        ('sub/00001001.txt', 'ein Hund läuft'.encode()),
        ('00001002.jpg', b'image'),
        ('00001002.txt', b'an image'),
        ('00001003.txt', b'no video'),
        ('._00001004.mp4', b'hidden'),
        ('00001005.mp4', b''),
        ('00001005.txt', b'an empty video'),
        ('00001006.mp4', b'first'),
        ('00001006.txt', b'twice'),
        ('00001006.mp4', b'second'),
        ('00001006.txt', b'twice'),
    ]
    write_shard(tmp_path / '0.tar', members)
    dataset = Shards(str(tmp_path))
    assert list_samples(dataset) == [
        ('sub/00001001', b'in a folder', 'ein Hund läuft'),
        ('00001005', b'', 'an empty video'),
        ('00001006', b'first', 'twice'),
        ('00001006', b'second', 'twice'),
    ]
    assert dataset.num_missing == 3
    said = "3 of 7 samples of urls='{}' are left out: 2 without a video, 1 without a caption"
    assert said.format(tmp_path) in log()
    assert len(Shards(str(tmp_path), video=('mp4', 'jpg'))) == 5
    narrated = Shards(str(tmp_path), caption='json:caption,clip_subtitles')
    assert list_samples(narrated) == [('00001000_0000', b'no text', 'take it up')]


def test_a_cut_tar_gives_the_samples_before_the_cut(tmp_path: Path, log: Callable[[], str]) -> None:
    path = write_shards(tmp_path / 'a', [3]) / '00000.tar'
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b'video 00000002') + 5])
    (path.parent / '00001.tar').write_bytes(b'no tar at all' * 100)
    write_shard(path.parent / '00002.tar', [('readme', b'nothing')])
    dataset = Shards(str(path.parent))
    assert [key for key, *_ in list_samples(dataset)] == ['00000000', '00000001']
    cut = f'1 shard cannot be read to the end, the samples before the damage are used: {path} ('
    assert cut in log()
    assert f'2 shards without a sample left out: {path.parent}/00001.tar (' in log()
    assert '00002.tar' in log()


@pytest.mark.parametrize(
    ('caption', 'expected'),
    [
        ('json:nothing,b,a', {'B'}),
        ('json:empty,a', {'A'}),
        ('json:a=0.7,b=0.3', {'A', 'B'}),
        ('json:a=1,empty=1', {'A'}),
    ],
)
def test_caption_is_chosen_from_the_fields(
    caption: str, expected: set[str], tmp_path: Path
) -> None:
    metadata = json.dumps(dict(a='A', b='B ', empty=' ', number=3)).encode()
    write_shard(tmp_path / '0.tar', [('0.mp4', b'x'), ('0.json', metadata)])
    dataset = Shards(str(tmp_path), caption=caption)
    assert {dataset.get_data_info(0)['captions'][0] for _ in range(40)} == expected


def test_weights_are_the_shares_and_a_function_of_seed_epoch_and_index(tmp_path: Path) -> None:
    metadata = json.dumps(dict(a='A', b='B')).encode()
    members = [(f'{i}.{kind}', metadata) for i in range(200) for kind in ('mp4', 'json')]
    write_shard(tmp_path / '0.tar', members)
    dataset = Shards(str(tmp_path), caption='json:a=3,b=1', pipeline=[lambda x: x])
    set_epoch(dataset, 0, seed=1)
    drawn = [dataset[i]['captions'][0] for i in range(200)]
    assert drawn.count('A') == pytest.approx(150, abs=20)
    assert [dataset[i]['captions'][0] for i in range(200)] == drawn
    set_epoch(dataset, 1, seed=1)
    assert [dataset[i]['captions'][0] for i in range(200)] != drawn


@pytest.mark.parametrize('caption', ['json', 'json:', 'xml:a', 'json:a=0.5,b', 'json:a=-1', ''])
def test_other_forms_of_caption_are_refused(caption: str) -> None:
    with pytest.raises(ValueError, match='caption='):
        Shards('nowhere', caption=caption)


def test_captions_that_are_no_utf8_are_repaired_and_counted(
    tmp_path: Path, log: Callable[[], str]
) -> None:
    members = [(f'{i}.{k}', d) for i in range(4) for k, d in (('mp4', b'x'), ('txt', b'a caf\xe9'))]
    write_shard(tmp_path / '0.tar', [*members, ('4.mp4', b'x'), ('4.txt', '\ufffd'.encode())])
    dataset = Shards(str(tmp_path), pipeline=[lambda x: x])
    loader = DataLoader(
        dataset,
        1,
        num_workers=2,
        collate_fn=pseudo_collate,
        multiprocessing_context='fork',
    )
    assert {batch['captions'][0][0] for batch in loader} == {'a caf\ufffd', '\ufffd'}
    assert dataset.num_repaired == 4
    dataset.get_data_info(0)
    assert dataset.num_repaired == 5
    assert 'has a caption that is not UTF-8: bytes were replaced' in log()


@pytest.mark.parametrize(
    ('member', 'data', 'caption', 'reason'),
    [
        ('txt', b' ', 'txt', 'has an empty caption'),
        ('json', b'{"b": "B"}', 'json:a', r"has no caption in \['a'\] of its json: 'b' have text"),
        ('json', b'{"b": "caf\xe9"}', 'json:a', r"has no caption in \['a'\] of its json: 'b' have"),
        ('json', b'{"a"', 'json:a', 'has metadata that cannot be read'),
        ('json', b'[]', 'json:a', r'has metadata that cannot be read \(its json is not an object'),
    ],
)
def test_a_sample_without_a_caption_in_it_is_broken(
    member: str, data: bytes, caption: str, reason: str, tmp_path: Path
) -> None:
    good = {'txt': b'good', 'json': b'{"a": "good"}'}[member]
    members = [('0.mp4', b'x'), (f'0.{member}', good), ('1.mp4', b'x'), (f'1.{member}', data)]
    write_shard(tmp_path / '0.tar', members)
    dataset = Shards(str(tmp_path), caption=caption)
    with pytest.raises(BrokenVideoError, match=f'0.tar#1: {reason}'):
        dataset.get_data_info(1)


def test_a_text_file_and_a_list_name_shards(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / 'a', [1, 2, 3])
    (tmp_path / 'list.txt').write_text('a/{00000..00001}.tar\n\na/00002.tar\n')
    for urls in ('list.txt', ['a/00002.tar', 'a/{00001,00000}.tar'], 'a/{00000..00002}.tar', 'a'):
        assert len(Shards(urls, data_root=str(tmp_path))) == 6
    assert len(Shards(f'{folder}/00001.tar', indices=1)) == 1


@pytest.mark.parametrize(
    ('urls', 'message'),
    [
        ('a/{7..9}.tar', r"urls='a/{7..9}.tar' matches no shard \(in a are: 00000.tar, other\)"),
        ('b/0.tar', r"urls='b/0.tar' matches no shard \(b does not exist\)"),
    ],
)
def test_no_shard_shows_what_is_there(
    urls: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_shards(Path('a'), [1])
    Path('a/other').touch()
    with pytest.raises(FileNotFoundError, match=message):
        Shards(urls)


def test_missing_shards_of_a_range_are_named(tmp_path: Path, log: Callable[[], str]) -> None:
    write_shards(tmp_path / 'a', [1])
    assert len(Shards(f'{tmp_path}/a/{{00000..00002}}.tar')) == 1
    assert f'2 of 3 shards do not exist and are left out: {tmp_path}/a/00001.tar, ' in log()


@pytest.mark.parametrize(
    ('members', 'arguments', 'message'),
    [
        (['0.mp4', '0.json'], {}, r"has KEY.txt; their members are KEY.mp4, KEY.json: set caption='"
                                  'json:caption'),
        (['0.mp4', '0.txt'], dict(caption='json:a'), "KEY.mp4, KEY.txt: set caption='txt'"),
        (['0.mp4'], {}, 'their members are KEY.mp4: add the captions'),
        (['0.mp4', '0.json'], dict(caption='json:a'), r"tar#0 has no caption in \['a'\] .*'b'"),
        (['0.avi', '0.txt'], dict(video=['mp4']), "a video and a caption: .* found .'avi'"),
        (['0.mp4', '0.txt'], dict(video=['gif']), "video=.'gif'. must be a list, of mp4, webm"),
        (['0.mp4', '0.txt'], dict(cache_gb=1), 'cache_gb=1 limits the copies in cache_dir'),
        (['a', 'b.flac'], {}, r"no sample in 1 shard .*first members are \['a', 'b.flac'\];"),
    ],
)  # fmt: skip
def test_nothing_usable_says_what_there_is(
    members: list[str], arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write_shard(tmp_path / '0.tar', [(name, b'{"b": "text"}') for name in members])
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        Shards(str(tmp_path), **arguments)


def test_pipes_are_referred_to_the_stream() -> None:
    with pytest.raises(ValueError, match=r'has no random access; use mmstan\.ShardStream'):
        Shards('pipe:cat 0.tar')


def test_pickles_open_their_own_files(tmp_path: Path) -> None:
    dataset = Shards(str(write_shards(tmp_path, [2])))
    before = list_samples(dataset)
    copy = pickle.loads(pickle.dumps(dataset))
    assert not copy._files._open
    assert list_samples(copy) == before


def test_at_most_256_files_are_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('mmstan.datasets.shards.files._OPEN_FILES', 2)
    dataset = Shards(str(write_shards(tmp_path, [1, 1, 1, 1])))
    expected = list_samples(dataset)
    assert list_samples(dataset) == expected
    assert len(dataset._files._open) == 2


def test_frames_are_read_and_the_bytes_are_freed(tmp_path: Path) -> None:
    video = write_video(tmp_path / 'v.mp4', numbered_frames(12)).read_bytes()
    write_shard(tmp_path / '0.tar', [*make_members([0, 1], video), *make_members([2], b'broken')])
    segments = dict(type='mmstan.SampleSegments', num_frames=4, test_mode=True)
    kept: list[dict[str, Any]] = []
    pipeline = [
        dict(type='mmstan.ReadFrames', sampler=segments),
        lambda results: kept.append({**results}) or results,
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs', meta_keys=('filename',), algorithm_keys=('captions',)),
    ]
    with DefaultScope.overwrite_default_scope('mmaction'):
        dataset = Shards(str(tmp_path), pipeline=pipeline, test_mode=True, skip_broken=True)
    samples = [dataset[index] for index in range(3)]
    assert [frame_number(frame) for frame in kept[0]['imgs']] == [1, 4, 7, 10]
    assert not any('video' in results for results in kept)
    assert samples[1]['data_samples'].filename == f'{tmp_path}/0.tar#00000001'
    assert samples[1]['data_samples'].captions == ['caption 1']
    ((name, reason),) = samples[2]['data_samples'].broken
    assert name == f'{tmp_path}/0.tar#00000002'
    assert 'it is no video' in reason
    assert not samples[2]['inputs'].any()


def test_fingerprint_is_of_names_sizes_and_choices_not_of_the_place(tmp_path: Path) -> None:
    folders = [write_shards(tmp_path / name, [3, 2]) for name in 'ab']
    same = {fingerprint(Shards(str(folder))) for folder in folders}
    assert len(same) == 1
    others = [
        Shards(str(folders[0]), caption='json:caption'),
        Shards(f'{folders[0]}/00000.tar'),
        Shards(str(write_shards(tmp_path / 'c', [3, 3]))),
        Shards(str(folders[0]), indices=4),
    ]
    assert len(same | {fingerprint(each) for each in others}) == 5


def test_rows_are_numbers_and_not_dicts(tmp_path: Path) -> None:
    """Ten million samples are one array of 40 MB."""
    dataset = Shards(str(write_shards(tmp_path, [3])))
    assert isinstance(dataset.data_list, np.ndarray)
    assert dataset.data_list.dtype == np.int32
