"""All frames of a video in a row: each once, in one pass over the file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.videos import frame_number, numbered_frames, write_video

from mmstan.datasets.readers import BrokenVideoError, pyav
from mmstan.datasets.readers.play import read_all, read_in_order
from mmstan.datasets.readers.pyav import PyAVReader

COUNT = 50


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same film as mp4, with B-frames, and as avi, without times."""
    path = tmp_path_factory.mktemp('films')
    frames = numbered_frames(COUNT)
    write_video(path / 'a.mp4', frames, options={'g': '12'})
    write_video(path / 'a.avi', frames, codec='mpeg4')
    return path


def count_passes(reader: PyAVReader, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows whenever the reader begins with the first packet."""
    passes: list[int] = []
    source = reader._source

    def count() -> Iterator[Any]:
        passes.append(1)
        return source()

    monkeypatch.setattr(reader, '_source', count)
    return passes


@pytest.mark.parametrize('name', ['a.mp4', 'a.avi'])
@pytest.mark.parametrize('kept', [True, False])
def test_all_frames_come_in_one_pass(
    name: str,
    kept: bool,
    folder: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not kept:
        request.getfixturevalue('forgetful')
    with PyAVReader(folder / name) as reader:
        expected = reader.read(range(COUNT))
        passes = count_passes(reader, monkeypatch)
        frames = list(read_all(reader))
    assert [frame_number(frame) for frame in frames] == list(range(COUNT))
    np.testing.assert_array_equal(frames, expected)
    assert len(passes) <= 1  # whatever the number of frames


def test_a_reader_that_seeks_reads_in_chunks() -> None:
    sizes: list[int] = []

    class Other:
        num_frames = COUNT

        def read(self, indices: range) -> list[Any]:
            sizes.append(len(indices))
            return [*indices]

    other: Any = Other()
    assert list(read_all(other)) == list(range(COUNT))
    assert max(sizes) <= 16 and sum(sizes) == COUNT


@pytest.mark.parametrize(
    ('lost', 'shown'),
    [
        ({3, 4}, [0, 1, 2, 2, 2, 5]),
        ({0, 1}, [2, 2, 2, 3, 4, 5]),
        ({48, 49}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_the_frame_on_display_stays_where_one_is_lost(
    lost: set[int], shown: list[int], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = PyAVReader._frames

    def lose(reader: PyAVReader) -> Iterator[Any]:
        return (frame for number, frame in enumerate(whole(reader)) if number not in lost)

    monkeypatch.setattr(PyAVReader, '_frames', lose)
    with PyAVReader(folder / 'a.mp4') as reader:
        numbers = [frame_number(frame) for frame in read_all(reader)]
    assert numbers[:6] == shown and len(numbers) == COUNT
    assert numbers[-1] == (47 if 49 in lost else 49)


def test_chosen_frames_in_one_pass(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyav, '_KEEP_BYTES', 0)
    wanted = [3, 17, 17, 40]
    with PyAVReader(folder / 'a.mp4') as reader:
        passes = count_passes(reader, monkeypatch)
        assert [frame_number(frame) for frame in read_in_order(reader, wanted)] == wanted
        assert len(passes) == 1
        whole = reader._frames
        monkeypatch.setattr(reader, '_frames', lambda: list(whole())[:30])
        with pytest.raises(BrokenVideoError, match='frame 40 of 50 cannot be decoded'):
            list(read_in_order(reader, wanted))


def test_a_video_without_a_frame_is_broken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PyAVReader, '_frames', lambda reader: iter(()))
    with (
        PyAVReader(folder / 'a.mp4') as reader,
        pytest.raises(BrokenVideoError, match=r'a\.mp4: holds no frame that can be decoded'),
    ):
        list(read_all(reader))
