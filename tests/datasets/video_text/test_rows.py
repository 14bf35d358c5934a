"""Data sets of millions of rows, in the layouts of their authors."""

import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.videos import frame_number, numbered_frames, write_video
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from mmstan.datasets import (
    HowTo100M,
    ImageText,
    ShardSampler,
    VideoTextDataset,
    WebVid,
    set_epoch,
)
from mmstan.datasets.fingerprint import fingerprint
from mmstan.datasets.readers import BrokenVideoError
from mmstan.datasets.video_text.json_objects import iterate_object
from mmstan.datasets.video_text.narration import Caption, clean_narration

CSV = """videoid,contentUrl,duration,page_dir,name
1001,https://a/1001.mp4,PT00H00M17S,000001_000050,A red ball.
1002,https://a/1002.mp4,PT00H00M09S,000001_000050,"Two dogs, snow"
1003,https://a/1003.mp4,PT00H01M02S,000051_000100,
1004,https://a/1004.mp4,PT00H00M30S,000051_000100,"A man pours ""coffee"" out"
1005,https://a/1005.mp4,PT00H00M30S,000051_000100,no file
"""
FILES = ('000001_000050/1001.mp4', '1002.mp4', '000051_000100/1003.mp4', '000051_000100/1004.mp4')
NARRATIONS = {
    'first': dict(start=[0.5, 3.2, 9.0], end=[3.1, 4.4, 15.0], text=['hi all', 'take it', 'press']),
    'second': dict(start=[1.0], end=[2.0], text=['crack two eggs']),
}


@pytest.fixture
def log(tmp_path: Path) -> Callable[[], str]:
    """What has been logged."""
    MMLogger.get_instance('rows', log_file=tmp_path / 'log')
    return (tmp_path / 'log').read_text


def touch(folder: Path, files: Sequence[str]) -> None:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def make_webvid(root: Path, text: str = CSV, **arguments: Any) -> WebVid:
    touch(root / 'videos', FILES)
    (root / 'rows.csv').write_text(text, 'utf-8')
    prefix = dict(video='videos')
    return WebVid('rows.csv', data_root=str(root), data_prefix=prefix, **arguments)


def list_pairs(dataset: VideoTextDataset) -> list[tuple[str, str]]:
    """Video ids and captions; every file is there."""
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    assert all(Path(info['filename']).is_file() for info in infos)
    return [(info['video_id'], *info['captions']) for info in infos]


PAIRS = [
    ('000001_000050/1001', 'A red ball.'),
    ('000001_000050/1002', 'Two dogs, snow'),
    ('000051_000100/1004', 'A man pours "coffee" out'),
]


@pytest.mark.parametrize('test_mode', [False, True])
def test_webvid(test_mode: bool, tmp_path: Path, log: Callable[[], str]) -> None:
    dataset = make_webvid(tmp_path, test_mode=test_mode, missing='report')
    assert list_pairs(dataset) == PAIRS
    assert dataset.num_missing == 2
    assert '2 of 5 ' in log() and '000051_000100/1003' in log()


def test_columns_may_have_any_order_and_company(tmp_path: Path) -> None:
    text = 'name,page_idx,videoid\nA red ball.,27732,1002\n'
    assert list_pairs(make_webvid(tmp_path, text)) == [('1002', 'A red ball.')]


def test_longer_videos_are_left_out(tmp_path: Path, log: Callable[[], str]) -> None:
    assert list_pairs(make_webvid(tmp_path, max_seconds=20)) == PAIRS[:2]
    assert '3 videos are longer than max_seconds=20 and are left out' in log()


def test_bytes_that_are_no_utf8_are_replaced_and_counted(
    tmp_path: Path, log: Callable[[], str]
) -> None:
    make_webvid(tmp_path)
    (tmp_path / 'rows.csv').write_bytes(CSV.replace('red', 'caf\xe9').encode('latin-1'))
    prefix = dict(video=str(tmp_path / 'videos'))
    dataset = WebVid(str(tmp_path / 'rows.csv'), data_prefix=prefix)
    assert list_pairs(dataset)[0][1] == 'A caf\ufffd ball.'
    assert 'rows.csv: 1 captions have bytes that are no UTF-8, replaced by U+FFFD' in log()


@pytest.mark.parametrize(
    ('text', 'arguments', 'message'),
    [
        ('video,caption\n', {}, "the columns videoid, name, but lacks .*'video', 'caption'"),
        ('videoid,name\n1,a\n', dict(max_seconds=3), 'lacks duration'),
        ('videoid,name\n1,a,b\n', {}, r"rows.csv': row 2 \['1', 'a', 'b'\] has 3 fields, and"),
        ('videoid,name\n1,"a\n', {}, 'line 2: unexpected end of data: is a quotation mark not'),
        ('videoid,name\n1,\n', {}, 'none of its 1 rows has a caption'),
        ('videoid,name\n../1,a\n', {}, 'the video .* is not below data_prefix='),
        ('videoid,name\n9,a\n', {}, r"none of the 1 files: wanted \['9.mp4'\], found \['000001_0"),
        (CSV, dict(missing='error'), "missing='error': 2 of 5 rows of .*rows.csv are missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(
    text: str, arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        make_webvid(tmp_path, text, **arguments)


def test_a_folder_or_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    make_webvid(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"ann_file='none.csv' does not exist"):
        WebVid('none.csv', cache=True)
    with pytest.raises(FileNotFoundError, match=r"data_prefix='none' is not a folder"):
        WebVid(str(tmp_path / 'rows.csv'), data_prefix=dict(video='none'))


def test_the_cache_is_mapped_and_made_again_for_other_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = WebVid.read_rows
    monkeypatch.setattr(WebVid, 'read_rows', lambda self: read.append('') or original(self))
    first = make_webvid(tmp_path, cache=True)
    prefix = dict(video=str(tmp_path / 'videos'))
    again = WebVid(str(tmp_path / 'rows.csv'), data_prefix=prefix, cache=True)
    assert len(read) == 1
    assert list_pairs(again) == list_pairs(first) == PAIRS
    assert again.num_missing == first.num_missing == 2
    assert isinstance(again.data_list.table.texts.block, np.memmap)
    WebVid(str(tmp_path / 'rows.csv'), data_prefix=prefix, cache=True, max_seconds=20)
    assert len(read) == 2
    assert len(make_webvid(tmp_path, CSV + '1002,,,000001_000050,once more\n', cache=True)) == 4


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('mmstan.datasets.video_text.rows.os.access', lambda *_: False)
    with pytest.raises(
        ValueError, match=r'cache=True needs .*rows.csv.cache, which cannot be writ'
    ):
        make_webvid(tmp_path, cache=True)


def test_rows_are_blocks_of_bytes_and_workers_get_them(tmp_path: Path) -> None:
    dataset = make_webvid(tmp_path)
    assert not dataset.serialize_data
    assert list_pairs(pickle.loads(pickle.dumps(dataset))) == PAIRS
    some = make_webvid(tmp_path, indices=2)
    assert list_pairs(some) == PAIRS[:2]
    other = make_webvid(tmp_path, CSV.replace('red', 'blue'))
    assert len({fingerprint(each) for each in (dataset, make_webvid(tmp_path), other)}) == 2


def make_howto(root: Path, narrations: Any = NARRATIONS, **arguments: Any) -> HowTo100M:
    touch(root / 'videos', ['first.webm', 'second.mp4', 'third.mkv'])
    (root / 'caption.json').write_text(json.dumps(narrations))
    arguments = {'captions': 'caption.json', 'pipeline': [lambda x: x], **arguments}
    return HowTo100M(data_root=str(root), data_prefix=dict(video='videos'), **arguments)


def visit(dataset: HowTo100M, index: int, times: int) -> set[tuple[float, float, str]]:
    samples = [dataset.prepare_data(index) for _ in range(times)]
    assert {(s['modality'], s['start_index']) for s in samples} == {('RGB', 0)}
    return {(s['start_seconds'], s['end_seconds'], *s['captions']) for s in samples}


def test_every_visit_draws_a_caption_and_its_part_of_the_video(tmp_path: Path) -> None:
    dataset = make_howto(tmp_path)
    expected = {(0.0, 4.0, 'hi all'), (1.8, 5.8, 'take it'), (9.0, 15.0, 'press')}
    drawn = {(round(s, 9), round(e, 9), t) for s, e, t in visit(dataset, 0, 50)}
    assert drawn == expected
    assert visit(dataset, 1, 3) == {(0.0, 4.0, 'crack two eggs')}
    # An epoch of several passes draws anew, too.
    set_epoch(dataset, 0, seed=0)
    order = ShardSampler(dataset, seed=0, samples_per_epoch=20 * len(dataset))
    assert {dataset[i]['captions'][0] for i in order if i == 0} == {text for *_, text in expected}
    assert dataset.get_data_info(0)['filename'].endswith('videos/first.webm')
    set_epoch(dataset, 0, seed=0)
    epoch = [dataset[0]['captions'] for _ in range(5)]
    assert len({text for (text,) in epoch}) == 1  # a function of (seed, epoch, index)


def test_neighbours_are_merged_until_it_is_long_enough(tmp_path: Path) -> None:
    dataset = make_howto(tmp_path, clip='merged', min_seconds=3.5, min_words=3)
    both = (0.5, 4.4, 'hi all take it')
    assert visit(dataset, 0, 50) == {both, (3.2, 15.0, 'take it press')}
    assert visit(dataset, 1, 2) == {(1.0, 2.0, 'crack two eggs')}


def test_settings_that_choose_the_parts_are_in_the_fingerprint(tmp_path: Path) -> None:
    same = [fingerprint(make_howto(tmp_path)) for _ in range(2)]
    others = [
        fingerprint(make_howto(tmp_path, **settings))
        for settings in (dict(clip='merged'), dict(min_seconds=5.0), dict(min_words=3))
    ]
    assert same[0] == same[1]
    assert len({same[0], *others}) == 4


def test_a_list_of_videos_and_a_folder_of_captions(tmp_path: Path, log: Callable[[], str]) -> None:
    (tmp_path / 'list.csv').write_text('video_id,rank\nsecond,1\nthird,2\nfirst,3\n')
    (tmp_path / 'texts').mkdir()
    (tmp_path / 'texts/first.csv').write_text('start,end,text\n0.5,3.1,"hi, all"\n5,4,turned\n')
    (tmp_path / 'texts/second.csv').write_text('start,end,text\n0,nan,no time\n')
    dataset = make_howto(tmp_path, ann_file='list.csv', captions='texts')
    assert visit(dataset, 0, 3) == {(0.0, 4.0, 'hi, all')}
    assert (len(dataset), dataset.num_missing) == (1, 2)
    assert 'texts: 2 captions are left out: lists of unequal length, times that are no' in log()
    assert len(make_howto(tmp_path, ann_file='list.csv')) == 2


@pytest.mark.parametrize(
    ('entry', 'usable', 'left_out'),
    [
        (dict(start=[0, 1], end=[1], text=['a', 'b']), 1, 1),
        (dict(start=[0], end=[1], text=['a', 'b', 'c']), 1, 2),
        (dict(start=[2, 0], end=[1, 1], text=['a', 'b']), 1, 1),
        (dict(start=[float('nan'), '0.5'], end=[1, '1'], text=['a', 'b']), 1, 1),
        (dict(start=[0, -1, None], end=[float('inf'), 1, 2], text=['a', 'b', 'c']), 0, 3),
        (dict(start=[0, 0], end=[1, 1], text=['', None]), 0, 2),
        (dict(start=[0], end=[1]), 0, 1),
        ([], 0, 1),
    ],
)
def test_captions_without_a_time_are_left_out_and_counted(
    entry: Any, usable: int, left_out: int
) -> None:
    captions, bad = clean_narration(entry)
    assert (len(captions), bad) == (usable, left_out)
    assert all(isinstance(caption, Caption) for caption in captions)


def test_a_video_without_a_usable_caption_is_missing(
    tmp_path: Path, log: Callable[[], str]
) -> None:
    bad = dict(start=[3.0], end=[float('nan')], text=['a'])
    dataset = make_howto(tmp_path, {**NARRATIONS, 'third': bad})
    assert (len(dataset), dataset.num_missing) == (2, 1)
    assert 'caption.json: 1 captions are left out' in log()
    assert '1 of 3 rows of ' in log() and '1 without a caption, 0 without a file' in log()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(captions='a/c.pickle'), r"load\(open\('a/c.pickle', 'rb'\)\), open\('a/c.json'"),
        (dict(candidates=3), 'candidates=3: no loss here reads several captions'),
        (dict(clip='whole'), "clip='whole' must be one of 'caption', 'merged'"),
        (dict(test_mode=True), 'test_mode=True: HowTo100M draws its captions'),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(
    arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        make_howto(tmp_path, **arguments)


def test_a_window_behind_the_end_of_the_video_is_broken(tmp_path: Path) -> None:
    window = dict(
        type='mmstan.SampleWindow', sampler=dict(type='mmstan.SampleSegments', num_frames=4)
    )
    with DefaultScope.overwrite_default_scope('mmaction'):
        dataset = make_howto(tmp_path, pipeline=[dict(type='mmstan.ReadFrames', sampler=window)])
    write_video(tmp_path / 'videos/second.mp4', numbered_frames(40))  # 5 seconds
    write_video(tmp_path / 'videos/first.webm', numbered_frames(40), codec='libvpx')
    sample = dataset.prepare_data(1)
    assert all(0 <= frame_number(frame) < 32 for frame in sample['imgs'])  # of [0, 4) seconds
    late = dict(start=[9.0], end=[15.0], text=['press'])
    with DefaultScope.overwrite_default_scope('mmaction'):
        dataset = make_howto(
            tmp_path, dict(second=late), pipeline=[dict(type='mmstan.ReadFrames', sampler=window)]
        )
    with pytest.raises(BrokenVideoError, match=r'second.mp4: ends at 5.00 s, before its segment'):
        dataset.prepare_data(0)


@pytest.mark.parametrize('chunk', [1, 7, 1 << 24])
def test_objects_are_read_in_pieces(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('mmstan.datasets.video_text.json_objects._CHUNK', chunk)
    path = tmp_path / 'a.json'
    entries = {'a': [1, 'x'], 'b': 123, 'ü': {'c': None}, '': 'text'}
    path.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + '\n')
    assert dict(iterate_object('captions', str(path))) == entries
    path.write_text(' {} ')
    assert not [*iterate_object('captions', str(path))]


@pytest.mark.parametrize('text', ['[1]', '{"a": 1', '{"a" 1}', '{"a": [1}', '{"a": 1 "b": 2}', ''])
def test_other_json_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / 'a.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=r"captions='.*a.json': it must be one JSON object, but"):
        dict(iterate_object('captions', str(path)))


IMAGES = ('training/1.jpg', 'training/2.jpg')
LISTS = {
    'a.tsv': 'a "dog" on a lawn\ttraining/1.jpg\n"salt, oil\ttraining/2.jpg\n',
    'a.csv': 'image,more,caption\ntraining/1.jpg,x,"a ""dog"" on a lawn"\n'
    'training/2.jpg,y,"""salt, oil"\n',
    'a.json': json.dumps(
        [
            dict(image='training/1.jpg', caption='a "dog" on a lawn'),
            dict(image='training/2.jpg', caption=['"salt, oil']),
        ]
    ),
}  # fmt: skip


@pytest.mark.parametrize('name', LISTS)
def test_images_with_captions(name: str, tmp_path: Path) -> None:
    for number, path in enumerate(IMAGES):
        (tmp_path / 'images/training').mkdir(parents=True, exist_ok=True)
        frame = numbered_frames(8)[number + 3]
        cv2.imwrite(str(tmp_path / 'images' / path), frame[..., ::-1])
    (tmp_path / name).write_text(LISTS[name])
    segments = dict(type='mmstan.SampleSegments', num_frames=1)
    with DefaultScope.overwrite_default_scope('mmaction'):
        dataset = ImageText(
            name,
            data_root=str(tmp_path),
            data_prefix=dict(img='images'),
            pipeline=[dict(type='mmstan.ReadFrames', sampler=segments)],
        )
    pairs = list_pairs(dataset)
    assert pairs == [(IMAGES[0], 'a "dog" on a lawn'), (IMAGES[1], '"salt, oil')]
    assert [frame_number(dataset.prepare_data(i)['imgs'][0]) for i in (0, 1)] == [3, 4]
    (tmp_path / 'images' / IMAGES[1]).write_bytes(b'broken')
    with pytest.raises(BrokenVideoError, match=r"frame '2.jpg' is missing or is no image"):
        dataset.prepare_data(1)


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('a.tsv', 'a dog\thttps://a.org/1.jpg\n', 'is an address, and images are not downloaded'),
        ('a.tsv', 'a dog\t1.jpg\na\tb\tc\n', "line 2: .'a', 'b', 'c'. must be 'caption TAB path'"),
        ('a.csv', 'path,text\n', "must name the columns image, caption, but lacks"),
        ('a.json', '[{"image": 3}]', "entry 1 must be an object with 'image' and 'caption', and"),
        ('a.json', '{}', 'it must hold a list, not a dict'),
    ],
)  # fmt: skip
def test_other_lists_of_images_are_refused(
    name: str, text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        ImageText(name, data_root=str(tmp_path), data_prefix=dict(img=''))


def test_images_draw_no_captions(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^pairs='random': in training each caption of an image"):
        ImageText('a.tsv', data_prefix=dict(img=str(tmp_path)), pairs='random')


def test_remote_files_are_not_looked_up(tmp_path: Path) -> None:
    (tmp_path / 'rows.csv').write_text(CSV)
    dataset = WebVid(str(tmp_path / 'rows.csv'), data_prefix=dict(video='s3://webvid/'))
    assert dataset.get_data_info(0)['filename'] == 's3://webvid/000001_000050/1001.mp4'
