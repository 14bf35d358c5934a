"""Which reader opens a file, and what happens where it fails."""

from pathlib import Path

import numpy as np
import pytest
from helpers.videos import frame_number, numbered_frames, set_display_matrix, write_video

from mmstan.datasets.readers import (
    READERS,
    BrokenVideoError,
    base,
    choose,
    open_video,
    reader_problem,
)
from mmstan.datasets.readers.base import VideoReader
from mmstan.datasets.readers.choose import TRUSTED, find_container

FRAMES = numbered_frames(30)
CODECS = {'avi': 'mpeg4', 'ts': 'libx264', 'mpg': 'mpeg2video', 'flv': 'libx264', 'webm': 'libvpx'}
CONTAINERS = {'mp4': 'mov', 'mov': 'mov', 'mkv': 'matroska', 'webm': 'matroska'}
CONTAINERS |= {'avi': 'avi', 'ts': 'mpegts', 'mpg': 'mpeg', 'flv': 'flv'}
OTHERS = [name for name in TRUSTED if reader_problem(name) is None]


class Fast(READERS['pyav']):
    """A reader that is not PyAV's."""


class FailsOnOpening(Fast):
    def _open(self) -> None:
        raise RuntimeError('no such codec: 0x1234')


class FailsOnReading(Fast):
    def _decode(self, wanted: list[int]) -> list[np.ndarray]:
        raise AssertionError


class MiscountsAndFails(FailsOnReading):
    def _open(self) -> None:
        super()._open()
        self.num_frames += 2


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the log says, as if torchcodec worked and nothing had been said before."""
    lines: list[str] = []
    monkeypatch.setitem(READERS, 'torchcodec', Fast)
    works = {'auto': 'torchcodec'}
    monkeypatch.setattr(choose, 'choose_backend', lambda name: works.get(name, name))
    monkeypatch.setattr(base, '_said', set())
    monkeypatch.setattr(base, 'print_log', lambda line, *args, **kwargs: lines.append(line))
    return lines


def write(path: Path, container: str) -> Path:
    """A video of ``container`` under whatever name."""
    own = path.with_name(f'own.{container}')
    return write_video(own, FRAMES, codec=CODECS.get(container, 'libx264')).rename(path)


@pytest.mark.parametrize('suffix', ['mp4', 'avi', 'txt'])
@pytest.mark.parametrize('container', CONTAINERS)
def test_the_content_says_which_container_it_is(
    container: str, suffix: str, said: list[str], tmp_path: Path
) -> None:
    path = write(tmp_path / f'a.{suffix}', container)
    assert find_container(path) == CONTAINERS[container]
    with open_video(path) as video:
        assert type(video) is (Fast if CONTAINERS[container] == 'mov' else READERS['pyav'])
        assert [frame_number(x) for x in video.read([0, 17, 29])] == [0, 17, 29]


def test_without_a_folder_to_write_to_pyav_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise FileNotFoundError(2, 'No usable temporary directory found')

    monkeypatch.setattr('mmstan.datasets.readers.choose.tempfile.TemporaryDirectory', refuse)
    problem = reader_problem.__wrapped__('pyav')
    assert problem == 'no clip can be written to try it (No usable temporary directory found)'


def test_a_gif(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'a.gif', FRAMES, codec='gif', pix_fmt='rgb8')
    with open_video(path) as video:
        frames = video.read(range(30))
    assert video.num_frames == 30 and frames[0].shape == FRAMES[0].shape
    assert [frame_number(frame) for frame in frames] == list(range(30))


def test_a_quicktime_file_that_begins_with_its_data(said: list[str], tmp_path: Path) -> None:
    path = write_video(tmp_path / 'a.mov', FRAMES)
    data = path.read_bytes()
    length = int.from_bytes(data[:4], 'big')
    assert data[4:8] == b'ftyp'
    # A box that says nothing, as long as the one it takes the place of: offsets stay.
    path.write_bytes(data[:4] + b'free' + bytes(length - 8) + data[length:])
    assert find_container(path) == 'mov'
    with open_video(path) as video:
        assert type(video) is Fast


@pytest.mark.parametrize('kind', ['missing', 'empty', 'folder', 'text'])
def test_what_is_no_video_is_named(kind: str, said: list[str], tmp_path: Path) -> None:
    path = tmp_path / 'a.mp4'
    if kind != 'missing':
        path.mkdir() if kind == 'folder' else path.write_text('' if kind == 'empty' else 'hello\n')
    assert find_container(path) == ''
    with pytest.raises(BrokenVideoError, match=r'a\.mp4: '):
        open_video(path)


def test_a_named_reader_is_not_given_what_it_misreads(said: list[str], tmp_path: Path) -> None:
    paths = [write(tmp_path / name, 'avi') for name in ('a.mp4', 'b.mp4')]
    for path in paths:
        with open_video(path, 'torchcodec') as video:
            assert type(video) is READERS['pyav']
    assert said == [
        f'{paths[0]} is read with PyAV (torchcodec is not trusted with avi files); said once for '
        'this reason'
    ]


@pytest.mark.parametrize('kind', [FailsOnOpening, FailsOnReading, MiscountsAndFails])
def test_a_reader_that_fails_falls_back_and_says_so_once(
    kind: type[VideoReader], said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(READERS, 'torchcodec', kind)
    for name in ('a.mp4', 'b.mp4'):
        with open_video(write_video(tmp_path / name, FRAMES)) as video:
            frames = video.sample(lambda count, fps: [count - 1, int(fps), 0])
        assert [frame_number(x) for x in frames] == [29, 8, 0]
    assert len(said) == 1
    assert said[0].startswith(f'{tmp_path}/a.mp4 is read with PyAV (torchcodec failed: cannot be ')


def test_indices_of_a_reader_that_counts_otherwise_are_refused(
    said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(READERS, 'torchcodec', MiscountsAndFails)
    with (
        open_video(write_video(tmp_path / 'a.mp4', FRAMES)) as video,
        pytest.raises(BrokenVideoError, match=r'a\.mp4: holds 32 frames or 30'),
    ):
        video.read([0])


def test_what_no_reader_reads_is_named_by_the_last_one(
    said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(READERS, 'torchcodec', FailsOnReading)
    monkeypatch.setitem(READERS, 'pyav', FailsOnReading)
    with (
        open_video(write_video(tmp_path / 'a.mp4', FRAMES)) as video,
        pytest.raises(BrokenVideoError, match=r'a\.mp4: cannot be decoded \(AssertionError\)'),
    ):
        video.read([0])


def test_errors_of_a_sampler_are_its_own(said: list[str], tmp_path: Path) -> None:
    def choose_nothing(count: int, fps: float) -> list[int]:
        raise BrokenVideoError('a.mp4', 'ends before the segment')

    with (
        open_video(write_video(tmp_path / 'a.mp4', FRAMES)) as video,
        pytest.raises(BrokenVideoError, match='ends before the segment'),
    ):
        video.sample(choose_nothing)
    assert said == []


@pytest.mark.parametrize('name', OTHERS)
@pytest.mark.parametrize('kind', ['plain', 'open_groups', 'hevc', 'mpeg4', 'mpeg2video', 'rotated'])
def test_readers_are_right_about_what_they_are_trusted_with(
    kind: str, name: str, tmp_path: Path
) -> None:
    """Or they fail, and PyAV takes their place."""
    options = {'g': '10', 'bf': '2'}
    codec = {'hevc': 'libx265', 'plain': 'libx264', 'rotated': 'libx264'}.get(kind, kind)
    if kind == 'open_groups':
        codec, options['x264-params'] = 'libx264', 'scenecut=0:open-gop=1'
    if kind == 'hevc':
        options = {'x265-params': 'keyint=10:bframes=2:log-level=none'}
    path = write_video(
        tmp_path / 'a.mp4', numbered_frames(40, 64, 96), codec=codec, options=options
    )
    if kind == 'rotated':
        set_display_matrix(path, -1, 0, 0, 1)
    with READERS['pyav'](path) as video:
        right = video.read(range(40))
    indices = [2, 9, 10, 11, 19, 28, 33, 39]
    with open_video(path, name) as video:
        assert video.num_frames == 40
        for index, frame in zip(indices, video.read(indices), strict=True):
            assert np.abs(frame.astype(int) - right[index]).mean() < 1


def test_the_bytes_of_a_file_are_a_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'a.mp4', FRAMES)
    with open_video(path) as of_file, open_video(path.read_bytes()) as of_bytes:
        np.testing.assert_array_equal(of_file.read([3, 20]), of_bytes.read([3, 20]))
