"""Boxes and names are where they belong, pixel by pixel."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmstan.datasets.readers import open_video
from mmstan.visualization import (
    KeyFrame,
    Person,
    draw_over_time,
    draw_persons,
    draw_sheet,
    lay_out,
    write_film,
)

GREY = np.full((96, 128, 3), 128, np.uint8)
BOX = (0.25, 0.25, 0.75, 0.75)  # columns 32 to 95, rows 24 to 71
BLUE = np.array([9, 105, 218])


def is_blue(pixels: np.ndarray) -> np.ndarray:
    return (pixels == BLUE).all(-1)


def test_a_box_is_drawn_on_its_sides_and_nothing_else() -> None:
    frame = draw_persons(GREY, [Person(BOX)])
    blue = np.zeros((96, 128), bool)
    blue[24:72, [32, 95]] = blue[[24, 71], 32:96] = True
    np.testing.assert_array_equal(is_blue(frame), blue)
    assert (frame[~blue] == 128).all()
    assert (GREY == 128).all()  # a copy is drawn


def test_lines_stand_inside_from_the_upper_left_corner() -> None:
    plain = draw_persons(GREY, [Person(BOX)]).astype(int)
    one, two = (
        draw_persons(GREY, [Person(BOX, ['0.90 sit', '0.40 eat'][:n])]).astype(int) for n in (1, 2)
    )
    changed = [np.argwhere((frame != plain).any(-1)) for frame in (one, two)]
    for places, lines in zip(changed, (1, 2)):
        assert places.min(0).tolist() == [25, 33]
        assert places[:, 0].max() == 24 + 8 * lines  # a line is eight pixels high here
    assert (one[25:33, 33:60] > 200).any()  # white on a darker ground
    assert (np.sort(one[25:33, 33:60].ravel())[:20] < 60).all()


@pytest.mark.parametrize(
    'box', [(-0.2, -0.1, 0.1, 0.1), (0.9, 0.9, 1.5, 2.0), (0.5, 0.5, 0.5, 0.5)]
)
def test_boxes_over_the_border_and_without_area(box: tuple[float, ...]) -> None:
    assert draw_persons(GREY, [Person(box, ['sit'])]).shape == GREY.shape


def test_boxes_are_shown_until_half_way_to_the_next_key_frame() -> None:
    found = {1.0: [Person(BOX)], 2.0: [Person((0.5, 0.5, 1.0, 1.0))]}
    drawn = list(draw_over_time([GREY] * 24, 8.0, found))
    first = [bool(is_blue(frame)[30, 32]) for frame in drawn]
    second = [bool(is_blue(frame)[60, 64]) for frame in drawn]
    # Frame 12 is 1.5 s, half-way between the key frames.
    assert first == [True] * 13 + [False] * 11 and second == [False] * 13 + [True] * 11


def test_frames_of_an_uneven_rate_belong_to_the_key_frame_next_in_time() -> None:
    found = {1.0: [Person(BOX)], 2.0: [Person((0.5, 0.5, 1.0, 1.0))]}
    times = np.array([0, 1.4, 1.6, 1.7])
    drawn = list(draw_over_time([GREY] * 4, 1.0, found, times))
    assert [bool(is_blue(frame)[30, 32]) for frame in drawn] == [True, True, False, False]


def test_a_film_without_key_frames_is_a_copy() -> None:
    assert all(frame is GREY for frame in draw_over_time([GREY] * 3, 8.0, {}))


def test_a_film_is_read_back(tmp_path: Path) -> None:
    frames = [np.full((33, 47, 3), level, np.uint8) for level in (20, 120, 220)]
    write_film(tmp_path / 'new/film.mp4', iter(frames), 12.5)
    with open_video(tmp_path / 'new/film.mp4') as video:
        assert (video.num_frames, video.avg_fps) == (3, 12.5)
        read = np.stack(video.read(range(3))).astype(int)
    assert read.shape == (3, 34, 48, 3)  # even sides
    assert np.abs(read[:, 8, 8, 0] - [20, 120, 220]).max() < 6


def test_a_sheet_has_rows_of_four(tmp_path: Path) -> None:
    shown = [KeyFrame(GREY, f'{i} s', [Person(BOX, ['sit'])]) for i in range(6)]
    rows = lay_out(shown)
    assert [len(row) for row in rows] == [4, 4] and rows[1][2].persons == ()
    draw_sheet(tmp_path / 'sheet.png', rows)
    with Image.open(tmp_path / 'sheet.png') as file:
        image = np.asarray(file.convert('RGB')).astype(int)
    blue = np.abs(image - BLUE).max(-1) < 40
    halves = blue[: len(blue) // 2], blue[len(blue) // 2 :]
    quarter = image.shape[1] // 4
    boxes = [[part[:, i * quarter : (i + 1) * quarter].any() for i in range(4)] for part in halves]
    assert boxes == [[True] * 4, [True, True, False, False]]
    assert sum(map(len, lay_out([shown[0]] * 100))) == 48  # of many, some
