"""Key frames of own videos, and boxes as people write them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mmstan.apis.key_frames import choose_seconds, read_json_boxes, read_persons


@pytest.fixture
def video(moving_shapes: Path, tmp_path: Path) -> str:
    """A video of 48 x 48 pixels, 6 seconds."""
    return str(shutil.copy(moving_shapes / 'detection/test/000000.mp4', tmp_path / 'film.mp4'))


@pytest.mark.parametrize(
    ('frames', 'fps', 'every', 'expected'),
    [
        (48, 8.0, 1.0, {1.0: 8, 2.0: 16, 3.0: 24, 4.0: 32, 5.0: 40}),
        (49, 8.0, 3.0, {3.0: 24, 6.0: 48}),
        (100, 29.97, 1.5, {1.5: 45, 3.0: 90}),
        (5, 10.0, 1.0, {0.25: 2}),
    ],
)
def test_key_frames(frames: int, fps: float, every: float, expected: dict[float, int]) -> None:
    assert choose_seconds(frames, fps, every) == expected


@pytest.mark.parametrize('every', [0.0, -1.0, float('inf')])
def test_no_such_distance(every: float) -> None:
    with pytest.raises(ValueError, match=r'--every .* must be above 0'):
        choose_seconds(48, 8.0, every)


def write(tmp_path: Path, name: str, content: object) -> str:
    text = content if isinstance(content, str) else json.dumps(content, indent=1)
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def test_json_with_and_without_scores(tmp_path: Path, video: str) -> None:
    content = {
        '1': [[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 1, 1, 0.2]],
        '2.5': [[0, 0, 1, 1, 0.3]],
        '3': [],
    }
    path = write(tmp_path, 'boxes.json', content)
    found = read_persons(path, [video], score=0.9)[video]
    assert list(found) == [1.0, 2.5, 3.0]
    np.testing.assert_allclose(found[1.0], [[0.1, 0.2, 0.3, 0.4, 1]], rtol=1e-6)
    np.testing.assert_allclose(found[2.5], [[0, 0, 1, 1, 0.3]])  # the best one stays
    assert found[3.0].shape == (0, 5)


def test_pixels(tmp_path: Path, video: str) -> None:
    as_json = write(tmp_path, 'boxes.json', {'1': [[12, 24, 36, 48, 0.95]]})
    as_csv = write(tmp_path, 'boxes.csv', 'film,1,12,24,36,48,0.95\nother,1,1,2,3000,4000,1\n')
    for path in (as_json, as_csv):
        found = read_persons(path, [video], score=0.9, pixels=True)[video]
        np.testing.assert_allclose(found[1], [[0.25, 0.5, 0.75, 1, 0.95]], rtol=1e-6)
        with pytest.raises(ValueError, match=r'line \d.* outside \[0, 1\]; boxes are fractions'):
            read_persons(path, [video], score=0.9)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'one': []}, r"line 2: the key 'one' is no time in seconds"),
        ({'1': [[0, 0, 1]]}, r"line 2: the boxes of '1' must be lists \[x1, y1, x2, y2\]"),
        ({'1': [[0, 0, 1, 1, 1, 1]]}, r"the boxes of '1' must be lists"),
        ({'1': [[0, 0, 1, 1, 1.5]]}, r"line 2: a score of '1' is not in \[0, 1\]: \[1\.5\]"),
        ({'1': [[0, 0, 1, 1, -0.1]]}, r"line 2: a score of '1' is not in \[0, 1\]"),
        ({'1': [[0.5, 0, 0.4, 1]]}, r'line 2: the box .* has no area'),
        ([], r'expected {"SECOND": \[\[x1, y1, x2, y2\], ...\]}, not \[\]'),
    ],
)
def test_damaged_json(content: object, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, 'boxes.json', content)
    with pytest.raises(ValueError, match=rf'boxes\.json.*{message}'):
        read_json_boxes(path, score=0.9)


def test_a_video_that_the_file_does_not_name(tmp_path: Path, video: str) -> None:
    path = write(tmp_path, 'boxes.csv', 'other,1,0,0,1,1,1\n')
    with pytest.raises(
        ValueError, match=r'has no box of .*film\.mp4: its first column names other'
    ):
        read_persons(path, [video], score=0.9)
    with pytest.raises(ValueError, match='its first column names other videos'):
        read_persons(path, [video], score=0.9, pixels=True)


def test_a_name_with_an_accent_is_found_in_either_form(tmp_path: Path, video: str) -> None:
    """macOS writes an accent behind its letter."""
    film = shutil.copy(video, tmp_path / 'cafe\u0301.mp4')
    for name in ('cafe\u0301', 'caf\u00e9'):
        path = write(tmp_path, 'boxes.csv', f'{name},1,0,0,24,48,1\n')
        found = read_persons(path, [str(film)], score=0.9, pixels=True)[str(film)]
        np.testing.assert_allclose(found[1], [[0, 0, 0.5, 1, 1]])


def test_a_json_is_of_one_video(tmp_path: Path, video: str) -> None:
    path = write(tmp_path, 'boxes.json', {'1': []})
    with pytest.raises(ValueError, match='holds the boxes of one video, and 2 are given'):
        read_persons(path, [video, 'b.mp4'], score=0.9)
