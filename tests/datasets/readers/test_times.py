"""Seconds become frames: by the frame rate where it is even, and by the frames' times elsewhere."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.videos import frame_number, numbered_frames, write_video
from mmaction.registry import TRANSFORMS

from mmstan.apis.key_frames import choose_seconds
from mmstan.apis.search.entries import Entry, read_segment
from mmstan.datasets.readers import READERS, find_end, find_frames, open_video, reader_problem
from mmstan.datasets.transforms import find_window

WORKING = [name for name in READERS if reader_problem(name) is None]
# 1 second of 10 frames, then 1 second of 30 frames, in milliseconds.
TIMES = [*range(0, 1000, 100), *(1000 + round(i * 100 / 3) for i in range(30))]


@pytest.fixture(scope='module')
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('uneven') / 'a.mp4'
    return write_video(path, numbered_frames(40), times=TIMES)


def read(path: Path, sampler: dict[str, Any], **keys: Any) -> list[int]:
    """The frames that are read."""
    transform = TRANSFORMS.build(dict(type='mmstan.ReadFrames', sampler=sampler))
    results = transform(dict(filename=str(path), **keys))
    assert 'frame_times' not in results
    return [frame_number(frame) for frame in results['imgs']]


@pytest.mark.parametrize('fps', [8.0, 15.0, 24000 / 1001, 25.0, 30000 / 1001, 60.0])
def test_times_of_an_even_rate_choose_as_the_rate_does(fps: float) -> None:
    rng, times = np.random.default_rng(0), np.arange(900) / fps
    starts = rng.uniform(0, 900 / fps, 2000)
    for start, length in zip(starts.tolist(), rng.uniform(0, 9, 2000).tolist()):
        plain = find_window(900, fps, start, start + length)
        assert find_window(900, fps, start, start + length, times) == plain
    assert find_end(900, fps, times) == pytest.approx(900 / fps)


def test_a_last_frame_is_shown_as_long_as_the_one_before() -> None:
    times = np.array([0, 0.5, 1.0, 1.1])
    assert find_end(4, 4.0, times) == pytest.approx(1.2)
    assert find_end(4, 2.0, times) == 2.0  # as the average says


def test_times_of_other_frames_do_not_count() -> None:
    assert find_frames(1.0, 5, 2.0, np.array([0, 5.0])) == 2.0


@pytest.mark.parametrize('seconds', [-1.0, 0.0, 0.125, 0.75, 2.75, 4.0, 5.0])
def test_places_between_and_outside_uneven_frames(seconds: float) -> None:
    times = np.array([0, 0.25, 1.25, 1.5])  # the last one is shown until second 4
    expected = {-1.0: -1, 0.0: 0, 0.125: 0.5, 0.75: 1.5, 2.75: 3.5, 4.0: 4, 5.0: 5}[seconds]
    assert find_frames(seconds, 4, 1.0, times) == expected


@pytest.mark.parametrize('name', WORKING)
def test_readers_know_when_frames_are_shown(name: str, video: Path, tmp_path: Path) -> None:
    with READERS[name](video) as reader:
        assert reader.uneven_times is not None
        np.testing.assert_allclose(reader.uneven_times, np.array(TIMES) / 1000, atol=1e-3)
    options = {'g': '10', 'bf': '3'}
    even = write_video(tmp_path / 'even.mp4', numbered_frames(30), options=options)
    with READERS[name](even) as reader:
        np.testing.assert_allclose(reader.times, np.arange(30) / 8)
        assert reader.uneven_times is None


def test_milliseconds_of_matroska_are_even(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'a.mkv', numbered_frames(40), fps=30)
    with open_video(path) as reader:
        assert reader.times is not None and reader.times[1] == 0.033
        assert reader.uneven_times is None


def test_frames_without_times_have_none(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'a.avi', numbered_frames(8), codec='mpeg4')
    with open_video(path) as reader:
        assert reader.times is None and reader.uneven_times is None


@pytest.mark.parametrize(
    ('start', 'end', 'expected'),
    [
        (0.5, 1.0, [5, 6, 7, 8, 9]),
        (1.0, 1.5, [11, 14, 17, 20, 23]),
        (0.8, 1.1, [8, 9, 10, 11, 12]),
    ],
)
def test_a_window_is_a_part_in_seconds(
    start: float, end: float, expected: list[int], video: Path
) -> None:
    segments = dict(type='mmstan.SampleSegments', num_frames=5, test_mode=True)
    window = dict(type='mmstan.SampleWindow', sampler=segments)
    assert read(video, window, start_seconds=start, end_seconds=end) == expected


def test_a_key_frame_is_the_one_on_display(video: Path) -> None:
    sampler = dict(type='mmstan.SampleKeyframe', num_frames=4, seconds=1.2, test_mode=True)
    assert read(video, sampler, timestamp=1.5) == [9, 16, 25, 34]  # 0.9, 1.2, 1.5 and 1.8 s
    assert read(video, sampler, timestamp=0.3) == [0, 0, 3, 6]


def test_other_readers_of_seconds_agree(video: Path) -> None:
    frames = read_segment(Entry(str(video), None, None, 0.45, 1.05), 3)
    assert [frame_number(frame) for frame in frames] == [5, 7, 9]  # 0.55, 0.75 and 0.95 s
    with open_video(video) as reader:
        known = reader.num_frames, reader.avg_fps
        chosen = choose_seconds(*known, 0.6, times=reader.uneven_times)
    assert chosen == {0.6: 6, 1.2: 16, 1.8: 34}
