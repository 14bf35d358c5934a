"""Which files an index takes, and segments of long ones."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from apis.search.conftest import FakeModel, names
from helpers.videos import frame_number, numbered_frames, write_video

from mmstan.apis.search import Changes, SearchIndex, entries
from mmstan.apis.search.entries import (
    Entry,
    cut_segments,
    find_videos,
    keep_open_sources,
    list_entries,
    list_sources,
    read_segment,
)
from mmstan.datasets.readers import BrokenVideoError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ('b.mp4', 'a.MKV', 'deep/er/c.webm', 'notes.md', '.hidden.mp4', 'no_suffix'):
        path = tmp_path / 'films' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('1')
    return tmp_path / 'films'


def relative(folder: Path, paths: list[str]) -> list[str]:
    return [os.path.relpath(path, folder) for path in paths]


def test_folders_patterns_lists_and_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(videos: object) -> list[str]:
        return relative(folder, find_videos(list_sources(videos)))  # type: ignore[arg-type]

    assert find(folder) == ['a.MKV', 'b.mp4', 'deep/er/c.webm']
    assert find(folder / '*.mp4') == ['b.mp4']
    assert find(folder / '**/*.webm') == ['deep/er/c.webm']
    (folder / 'list.csv').write_text('path,label\nb.mp4,x\n"deep/er/c.webm",y\n')
    (folder / 'list.txt').write_text('\ufeffa.MKV\n\nb.mp4\n')
    assert find(folder / 'list.csv') == ['b.mp4', 'deep/er/c.webm']
    assert find([folder / 'list.txt', str(folder / 'b.mp4')]) == ['a.MKV', 'b.mp4']
    monkeypatch.chdir(folder)
    assert find('b.mp4') == ['b.mp4'] and find('.') == ['a.MKV', 'b.mp4', 'deep/er/c.webm']
    given = list_sources(['.', 'b.mp4', '*.mp4', 'list.csv'])
    assert relative(folder, keep_open_sources(given)) == ['.', '*.mp4', 'list.csv']


def test_hidden_folders_circles_and_closed_folders(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(entries, 'print_log', lambda text, *_: said.append(text))
    for name in ('.Trash-1000/d.mp4', '@eaDir/b.mp4', 'closed/e.mp4'):
        (folder / name).parent.mkdir()
        (folder / name).write_text('1')
    (folder / 'deep/loop').symlink_to(folder)
    (folder / 'itself.mp4').symlink_to('itself.mp4')
    scan = os.scandir

    def scandir(path: str) -> object:
        if path.endswith('closed'):
            raise PermissionError(13, 'Permission denied')
        return scan(path)

    monkeypatch.setattr(os, 'scandir', scandir)
    found = relative(folder, find_videos([str(folder)]))
    assert found == ['a.MKV', 'b.mp4', 'deep/er/c.webm', 'itself.mp4']
    assert said == [
        f'{folder}: folders that cannot be read: {folder}/closed',
        f'{folder}: links to a folder above them, not followed: {folder}/deep/loop',
    ]


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    odd = tmp_path / 'a [1].mp4'
    odd.write_text('1')
    assert find_videos([str(odd)]) == [str(odd)]


def test_sources_that_name_nothing(tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / '*.mp4'):
        with pytest.raises(ValueError, match=r'names no video; their names end in \.3g2'):
            find_videos([str(source)])
    with pytest.raises(ValueError, match=r"^videos=b'x': an index holds files"):
        list_sources([b'x'])  # type: ignore[list-item]
    (tmp_path / 'list.csv').write_text('file\nb.mp4\n')
    with pytest.raises(ValueError, match='must name the columns path'):
        find_videos([str(tmp_path / 'list.csv')])


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BrokenVideoError, match='cannot be found or read'):
        list_entries(str(tmp_path / 'missing.mp4'), None)


@pytest.mark.parametrize(
    ('duration', 'segments', 'expected'),
    [
        (10, (4, 4), [(0, 4), (4, 8), (8, 10)]),
        (8, (4, 4), [(0, 4), (4, 8)]),
        (8, (4, 2), [(0, 4), (2, 6), (4, 8)]),
        (3, (4, 4), [(0, 3)]),
        (0.3, (0.1, 0.1), [(0, 0.1), (0.1, 0.2), (0.2, 0.3)]),
        (10, (2, 5), [(0, 2), (5, 7)]),
        (9, (2, 5), [(0, 2), (5, 7)]),
        (0, (2, 5), [(0, 0)]),
    ],
)
def test_segments(
    duration: float, segments: tuple[float, float], expected: list[tuple[float, float]]
) -> None:
    assert cut_segments(duration, segments) == expected


def test_frames_of_a_segment(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'a.mp4', numbered_frames(32), fps=8)
    entries = list_entries(str(path), (2.0, 1.0))
    assert [(entry.start, entry.end) for entry in entries] == [(0, 2), (1, 3), (2, 4)]
    frames = read_segment(entries[1], 4)
    assert [frame_number(frame) for frame in frames] == [10, 14, 18, 22]
    last = Entry(str(path), None, None, 3.9, 4.0)
    assert [frame_number(frame) for frame in read_segment(last, 2)] == [31, 31]


def test_segments_of_an_index(
    model: FakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, 'frames', lambda video: video[:4], raising=False)
    for name in ('a', 'b'):
        write_video(tmp_path / f'{name}.mp4', numbered_frames(32), fps=8)
    (tmp_path / 'broken.mp4').write_text('1')
    index = SearchIndex.build(model, tmp_path / '*.mp4', tmp_path / 'index', segments=(2, 1))
    assert len(index) == 6 and [name for name, _ in index.broken] == [str(tmp_path / 'broken.mp4')]
    hits = index.search(read_segment(Entry(str(tmp_path / 'a.mp4'), None, None, 1, 3), 4), top=2)
    assert {str(hit) for hit in hits} == {f'{tmp_path}/{name}.mp4 [1-3 s]' for name in 'ab'}
    again = SearchIndex.open(tmp_path / 'index', model)
    assert again.manifest.segments == (2, 1)
    assert again.remove(tmp_path / 'a.mp4').removed == 3
    assert again.add(tmp_path / 'a.mp4').added == 3 and len(again) == 6
    (tmp_path / 'a.mp4').write_text('damaged')  # its old segments are none of the file
    (tmp_path / 'b.mp4').rename(tmp_path / 'away')  # add forgets no file that is gone
    assert again.add([tmp_path / f'{name}.mp4' for name in 'ab']) == Changes(0, 3)
    assert set(again.names) == {str(tmp_path / 'b.mp4')}


def test_names_that_are_no_utf_8(model: FakeModel, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b'/caf\xe9 "\xc3\xa9\n.mp4'
    try:
        Path(os.fsdecode(name)).write_text('5')
    except OSError:
        pytest.skip('this file system takes UTF-8 names only')
    SearchIndex.build(model, tmp_path, tmp_path / 'index')
    index = SearchIndex.open(tmp_path / 'index', model)
    assert index.names == [os.fsdecode(name)]
    assert index.search('frame 5 1')[0].name == os.fsdecode(name)


def test_equal_videos_under_two_names(
    model: FakeModel, videos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = videos(3)
    given = [folder, folder / '0001.mp4', folder / '*.mp4', folder / '../videos/0002.mp4']
    index = SearchIndex.build(model, given, tmp_path / 'index')
    assert len(index) == 3 and len(model.encoded) == 3
    assert names(index.search('frame 1 0', 1)) == ['0001.mp4']
    assert np.isclose(index.search('frame 1 0', 1, rerank=False)[0].score, 1, atol=1e-3)
