"""``path label`` lists as people write them."""

import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from mmstan.datasets import VideoDataset
from mmstan.datasets.video_files import Spellings, VideoFiles
from mmstan.datasets.video_lists import parse_line


@pytest.mark.parametrize(
    ('line', 'path', 'label'),
    [
        ('a.mp4 3', 'a.mp4', 3),
        ('  a.mp4\t 3 \t', 'a.mp4', 3),
        ('my clips/a b.mp4 12', 'my clips/a b.mp4', 12),
        ('"my clips/clip 3" 2', 'my clips/clip 3', 2),
        ("'a b.mp4' 2", 'a b.mp4', 2),
        ('clip,2.mp4 0', 'clip,2.mp4', 0),
        ("it's.mp4 1", "it's.mp4", 1),
        ('a.. 007', 'a..', 7),
        ('a.mp4\xa0 1', 'a.mp4', 1),  # a blank from a web page
        ('video7 7', 'video7', 7),
    ],
)
def test_lines(line: str, path: str, label: int) -> None:
    assert parse_line(line) == (path, (label,))


@pytest.mark.parametrize(
    ('line', 'problem'),
    [
        ('a.mp4', 'it has no label'),
        ('a.mp4,0', 'write a blank between path and label in place of the comma'),
        ('a.mp4, 0', 'write a blank .* in place of the comma'),
        ('my a.mp4;0', 'write a blank .* in place of the comma'),
        ('path label', "the label 'label' is not a whole number"),
        ('a.mp4 0.0', r"the label '0\.0' is not a whole number .write it without a point"),
        ('a.mp4 -0', 'the label -0 is less than 0'),
        ('a.mp4 -1', 'the label -1 is less than 0, and classes are 0 to K - 1'),
        ('a.mp4 +1', r"the label '.*' is not a whole number$"),
        ('a.mp4 \u0663', r"the label '.*' is not a whole number$"),
        ('a.mp4 99999999999999', r"the label '.*' is not a whole number$"),
        ('a.mp4\xa00', 'it has no label'),
        ('a.mp4 1 2', 'it has several numbers; give one label, or multi_class=True'),
        ('frames/a 120 3', 'it has several numbers'),
    ],
)
def test_lines_that_are_refused(line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=rf"^.* must be 'path label': {problem}"):
        parse_line(line)


@pytest.mark.parametrize(
    ('line', 'path', 'labels'),
    [
        ('a.mp4 1 2 30', 'a.mp4', (1, 2, 30)),
        ('my clips/a.mp4\t0', 'my clips/a.mp4', (0,)),
        ('a.mp4', 'a.mp4', ()),
    ],
)
def test_several_labels(line: str, path: str, labels: tuple[int, ...]) -> None:
    assert parse_line(line, multi_class=True) == (path, labels)


@pytest.mark.parametrize('line', ['a.mp4,1', 'a.mp4 1,2', 'a.mp4 x', 'a.mp4 1 -2'])
def test_several_labels_that_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match="must be 'path label'"):
        parse_line(line, multi_class=True)


def test_another_delimiter() -> None:
    assert parse_line('my clips/a b, c.mp4 , 3', delimiter=',') == ('my clips/a b, c.mp4', (3,))
    assert parse_line('a.mp4,1,2', delimiter=',', multi_class=True) == ('a.mp4', (1, 2))
    with pytest.raises(ValueError, match='it has no label'):
        parse_line('a.mp4 3', delimiter=',')


# --- the data set ---


def make(folder: Path, content: str | bytes, **arguments: Any) -> VideoDataset:
    data = content.encode() if isinstance(content, str) else content
    (folder / 'list.txt').write_bytes(data)
    arguments.setdefault('data_prefix', dict(video=str(folder)))
    return VideoDataset(str(folder / 'list.txt'), [], **arguments)


def rows(dataset: VideoDataset, folder: Path) -> list[tuple[str, Any]]:
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [(os.path.relpath(info['filename'], folder), info['label']) for info in infos]


def test_what_editors_leave(tmp_path: Path) -> None:
    content = '\ufeffa.mp4 0\r\n\r\nmy clips/b c.mp4\t1\r\n \r\n'
    assert rows(make(tmp_path, content), tmp_path) == [('a.mp4', 0), ('my clips/b c.mp4', 1)]


@pytest.mark.parametrize(
    ('content', 'problem'),
    [
        ('a.mp4 0\n\nb.mp4\n', "line 3: 'b.mp4' must be 'path label': it has no label"),
        ('path label\na.mp4 0\n', 'line 1: .*is it a header'),
        ('a.mp4 0\n/etc/passwd 1\n', "line 2: the video '/etc/passwd' is not below data_prefix"),
        ('../../etc/passwd 1\n', "line 1: the video '../../etc/passwd' is not below"),
        ('a/../../b.mp4 1\n', 'line 1: .* is not below'),
        ('a.mp4 0\ncafé.mp4 1\n'.encode('cp1252'), 'line 2: byte 0xe9'),
        ('\n\n', "it has no line; give a list of 'path label'"),
    ],
)
def test_lists_that_are_refused(content: str | bytes, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf'ann_file=.*list\.txt.*{problem}') as error:
        make(tmp_path, content)
    assert '\n' not in str(error.value)


def test_paths_as_they_are_without_a_prefix(tmp_path: Path) -> None:
    path = f'{tmp_path}/my clips/a.mp4'
    for content, name in ((f'{path} 0', path), ('../a.mp4 0', '../a.mp4')):
        dataset = make(tmp_path, content, data_prefix=dict(video=''))
        assert dataset.get_data_info(0)['filename'] == name
    assert rows(make(tmp_path, 'a/../b.mp4 0'), tmp_path) == [('b.mp4', 0)]


def test_labels_below_the_number_of_classes(tmp_path: Path) -> None:
    content = 'a.mp4 1 2\nb.mp4 0\n'
    dataset = make(tmp_path, content, multi_class=True, num_classes=3)
    assert [dataset.get_data_info(i)['label'].tolist() for i in (0, 1)] == [[0, 1, 1], [1, 0, 0]]
    with pytest.raises(ValueError, match=r'list\.txt.*, line 1: the label 2 is none of the 2 cla'):
        make(tmp_path, content, multi_class=True, num_classes=2)
    with pytest.raises(ValueError, match=r"^multi_class=True of .*list\.txt' needs num_classes"):
        make(tmp_path, content, multi_class=True)


# --- names in Unicode's two normal forms ---

NAME = 'café/über.mp4'


@pytest.mark.parametrize(('on_disk', 'listed'), [('NFC', 'NFD'), ('NFD', 'NFC'), ('NFD', 'NFD')])
def test_normal_forms_meet(on_disk: str, listed: str, tmp_path: Path) -> None:
    there = tmp_path / unicodedata.normalize(on_disk, NAME)
    there.parent.mkdir()
    there.touch()
    name = unicodedata.normalize(listed, NAME)
    assert make(tmp_path, f'{name} 0').get_data_info(0)['filename'] == str(there)
    assert Spellings(str(tmp_path)).find(name) == str(there)
    found = VideoFiles(str(tmp_path), {os.path.dirname(name)})
    assert found.find(name) == found.find(name.removesuffix('.mp4')) == str(there)
    anywhere = VideoFiles(str(tmp_path), recursive=True)
    assert anywhere.find(os.path.basename(name)) == str(there)


def test_a_name_that_is_not_there_stays(tmp_path: Path) -> None:
    assert Spellings(str(tmp_path)).find(NAME) == str(tmp_path / NAME)
