"""Annotation files as people write them: read where they have one meaning, else refused."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.caption_files import HEADED

from mmstan.datasets import LSMDC, MSRVTT, MSVD, VATEX, ActivityNetCaptions, CaptionsJson, DiDeMo
from mmstan.datasets.annotation_files import read_names

READERS = {
    'own': CaptionsJson,
    'msrvtt': MSRVTT,
    'msvd': MSVD,
    'lsmdc': LSMDC,
    'didemo': DiDeMo,
    'activitynet': ActivityNetCaptions,
    'vatex': VATEX,
}
HEADED_ROW = HEADED + 'ret0,msr0,video0,'


@pytest.fixture
def captions_of(tmp_path: Path) -> Callable[[str, str | bytes], dict[str, list[str]]]:
    """Write a file and read it with the data set for its kind."""
    (tmp_path / 'videos').mkdir()
    for name in ('video0.mp4', 'video1.mp4', 'cafe\u0301.mp4'):
        (tmp_path / 'videos' / name).touch()

    def read(name: str, content: str | bytes) -> dict[str, list[str]]:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        common = dict(data_root=str(tmp_path), data_prefix=dict(video='videos'), test_mode=True)
        if name.endswith('.csv'):
            dataset = MSRVTT(video_list=name, **common)
        else:
            dataset = READERS[name.split('.')[0]](name, **common)
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        return {info['video_id']: info['captions'] for info in infos}

    return read


@pytest.mark.parametrize(
    ('name', 'content', 'captions'),
    [
        ('own.json', b'\xef\xbb\xbf{"video0.mp4": ["a man"]}', {'video0.mp4': ['a man']}),
        (
            'own.json',
            '{"video0.mp4": ["a", "b"], "video1.mp4": "c", "video0.mp4": ["b", "d"]}',
            {'video0.mp4': ['a', 'b', 'd'], 'video1.mp4': ['c']},
        ),
        ('own.json', '{"café.mp4": ["a"], "cafe\u0301.mp4": "b"}', {'café.mp4': ['a', 'b']}),
        ('own.json', '{" video0.mp4 ": [" a ", "b", ""]}', {'video0.mp4': ['a', 'b']}),
        ('test.csv', HEADED_ROW + '"a man, who sings"\r\n', {'video0': ['a man, who sings']}),
        ('test.csv', HEADED_ROW + 'he says "hi"\n,,,\n', {'video0': ['he says "hi"']}),
        (
            'test.csv',
            (HEADED_ROW + 'a man, who sings').replace(',', ';').replace('man;', 'man,'),
            {'video0': ['a man, who sings']},
        ),
        ('lsmdc.csv.txt', '\ufeffvideo0\ta\tb\tc\td\te, f\r\n\r\n', {'video0': ['e, f']}),
        ('vatex.json', '{"video0": "a man"}', {'video0': ['a man']}),
    ],
)
def test_what_has_one_meaning_is_read(
    name: str, content: str | bytes, captions: dict[str, list[str]], captions_of: Callable[..., Any]
) -> None:
    assert captions_of(name, content) == captions


def msrvtt(**entry: Any) -> str:
    return json.dumps(dict(sentences=[dict(video_id='video0', caption='a'), entry]))


@pytest.mark.parametrize(
    ('name', 'content', 'problem'),
    [
        ('own.json', '{"video0.mp4":\n{"caption": "a", "source": "x"}}', 'line 1: the captions of'),
        (
            'own.json',
            '{"video0.mp4": ["a", null]}',
            "line 1: a caption of 'video0.mp4' must be a t",
        ),
        ('own.json', '{"video0.mp4": [3]}', "a caption of 'video0.mp4' must be a text, not 3"),
        ('own.json', '{\n"video0.mp4": null}', "line 2: the captions of 'video0.mp4' must be"),
        ('own.json', r'{"video0.mp4": ["a \u0000"]}', 'must be a text, not '),
        ('own.json', r'{"video0.mp4": ["a \ud800"]}', 'must be a text, not '),
        ('own.json', '{"video0.mp4": ["a"], "": ["b"]}', "'' must be the name of a video"),
        (
            'own.json',
            '{"video0.mp4": ["a"], "/etc/passwd": "b"}',
            "'/etc/passwd' is not below data",
        ),
        ('own.json', '{"../../etc/passwd": "b"}', 'line 1: the video .* is not below data_prefix'),
        ('own.json', '{"video0.mp4": NaN}', 'NaN is no value of JSON'),
        ('own.json', 'null', 'it must hold {file name: .captions.}, not a NoneType'),
        ('own.json', '{"video0.mp4": ["a"]}'.encode('utf-16'), 'it is in UTF-16; save it as UTF-8'),
        ('own.json', '{"video0.mp4": ["a"]}\n{}\n', 'line 2: it is not JSON .one object a line'),
        ('own.json', '{"video0.mp4": ["a"', 'line 1: it is not JSON'),
        (
            'test.csv',
            HEADED_ROW + 'a man, who sings\n',
            'line 2: .* has 5 fields, and the header 4',
        ),
        ('test.csv', HEADED_ROW[:-1] + '\n', 'line 2: .* has 3 fields'),
        ('test.csv', (HEADED_ROW + 'café\n').encode('cp1252'), 'line 2: byte 0xe9 in .*café'),
        ('test.csv', HEADED + 'ret0,msr0,,a man\n', "line 2: '' must be the name of a video"),
        (
            'msrvtt.json',
            msrvtt(video_id='video1', caption=None),
            'caption 2 must be an object with',
        ),
        ('msrvtt.json', msrvtt(caption='b'), 'None must be the name of a video'),
        ('msrvtt.json', '{"sentences": null}', 'must hold a list of captions, not a NoneType'),
        ('msrvtt.json', '[]', 'it must hold {sentences: .* not a list'),
        ('msvd.pkl', pickle.dumps({'video0': 'a man'}), 'lists of words for .video0.*, not a str'),
        ('msvd.pkl', pickle.dumps({'video0': [['a', 3]]}), "of 'video0' must be a text, not 3"),
        ('msvd.pkl', pickle.dumps([]), 'it must hold {id: .* not a list'),
        ('lsmdc.txt', 'video0\ta\tb\tc\td\te\nvideo1\tf\n', 'line 2: it must have 6 columns'),
        ('didemo.json', '[{"video": "video0"}]', 'caption 1 must be an object with .video. and a'),
        ('didemo.json', '{"video": "video0"}', 'must hold a list of captions, not a dict'),
        (
            'activitynet.json',
            '{"video0": {"sentences": "a."}}',
            "entry of video0 must .* 'sentences'",
        ),
        (
            'activitynet.json',
            '{"video0": null}',
            "entry of video0 must be an object with a list 'se",
        ),
        (
            'vatex.json',
            '{"video0": {"enCap": "a"}}',
            "entry of video0 must be an object .* 'enCap'",
        ),
        ('vatex.json', '{"video0": ["a"], "video0": ["b"]}', "the key 'video0' stands 2 times"),
        ('vatex.json', '[' * 100_000, 'it is nested too deeply'),
    ],
)
def test_what_has_none_names_file_and_place(
    name: str, content: str | bytes, problem: str, captions_of: Callable[..., Any]
) -> None:
    with pytest.raises(ValueError, match=rf'{name}.*{problem}') as error:
        captions_of(name, content)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('index', 'problem'),
    [
        ({'video0': 1}, 'the caption of video0 must be one of 0 to 0, not 1'),
        ({'video0': -1}, 'the caption of video0 must be one of 0 to 0, not -1'),
        ({'video0': 'a'}, "must be one of 0 to 0, not 'a'"),
        ({'video9': 0}, r"it has none of the videos of ann_file, \['video0'\]"),
        ([0], 'it must hold {video: number}, not a list'),
    ],
)
def test_chosen_captions_that_are_none(index: Any, problem: str, tmp_path: Path) -> None:
    (tmp_path / 'index.pkl').write_bytes(pickle.dumps(index))
    (tmp_path / 'data.json').write_text(
        json.dumps(dict(sentences=[dict(video_id='video0', caption='a')]))
    )
    with pytest.raises(ValueError, match=rf'^caption_index=.*index\.pkl.*{problem}'):
        MSRVTT('data.json', caption_index='index.pkl', data_root=str(tmp_path))


def test_paths_as_they_are_without_a_folder(tmp_path: Path) -> None:
    (tmp_path / 'a.mp4').touch()
    (tmp_path / 'own.json').write_text(json.dumps({str(tmp_path / 'a.mp4'): 'text'}))
    dataset = CaptionsJson(str(tmp_path / 'own.json'), test_mode=True)
    assert dataset.get_data_info(0)['filename'] == str(tmp_path / 'a.mp4')


@pytest.mark.parametrize(
    ('name', 'content', 'problem'),
    [
        ('a.json', '["video0", null]', 'None must be the name of a video'),
        ('a.json', '{"video0": "text"}', 'it must hold a list of videos, not a dict'),
        ('a.csv', 'video_id,x\nvideo0\n', r"line 2: \['video0'\] has 1 fields"),
        ('a.txt', b'video0\nvid\x00eo1\n', 'line 2: it has the character'),
    ],
)
def test_splits_that_are_refused(
    name: str, content: str | bytes, problem: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=rf'^video_list=.*{name}.*{problem}'):
        read_names('video_list', str(tmp_path / name))


def test_splits_as_people_write_them(tmp_path: Path) -> None:
    for name, content in (
        ('a.txt', '\ufeffvideo0 \r\n\r\ncafe\u0301\r\n7'),
        ('a.csv', 'n,video_id\n\n1,video0\n2,"café"\n3, 7\n'),
        ('a.json', '["video0", "cafe\u0301", 7]'),
    ):
        (tmp_path / name).write_text(content, 'utf-8')
        assert read_names('video_list', str(tmp_path / name)) == ['video0', 'café', '7']
