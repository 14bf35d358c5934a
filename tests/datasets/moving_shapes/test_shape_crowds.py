"""Moving Shapes' detection task: what is in the pictures is what the files say."""

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmstan.datasets.moving_shapes.crowd_files import COLOR_IDS, CROWD_CLASSES, MOTION_IDS
from mmstan.datasets.moving_shapes.render import SIZES
from mmstan.datasets.moving_shapes.scenes import COLORS
from mmstan.datasets.moving_shapes.shape_crowds import Actor, Crowd, draw_crowd, plan_crowds
from mmstan.datasets.readers import open_video

SPLITS = ('train', 'test')


@pytest.fixture(scope='module')
def crowds() -> list[Crowd]:
    return plan_crowds(60, 'train', (0, 3, 0))


@pytest.fixture(scope='module')
def folder(moving_shapes: Path) -> Path:
    return moving_shapes / 'detection'


def read(path: Path) -> list[list[str]]:
    with open(path, newline='') as file:
        return list(csv.reader(file))


def all_actors(crowds: list[Crowd]) -> list[Actor]:
    return [actor for crowd in crowds for scene in crowd.scenes for actor in scene.actors]


def test_a_crowd_has_three_or_four_actors_and_sometimes_a_still_shape(crowds: list[Crowd]) -> None:
    scenes = [scene for crowd in crowds for scene in crowd.scenes]
    assert len(scenes) == 3 * len(crowds)
    kinds = Counter((len(scene.actors), scene.still is not None) for scene in scenes)
    assert set(kinds) == {(3, False), (3, True), (4, False)}
    assert min(kinds.values()) > len(scenes) / 8  # expected: a quarter, a quarter, a half
    motions = Counter(actor.motion for actor in all_actors(crowds))
    assert set(motions) == set(range(8))


def test_every_shape_stays_in_its_cell(crowds: list[Crowd]) -> None:
    for actor in all_actors(crowds):
        x, y, radius = actor.trace_path(np.arange(16))
        assert len({(left, top) for left, top in zip(np.sign(x), np.sign(y))}) == 1
        for place in (x, y):
            assert (np.abs(place) - radius > -0.03).all() and (np.abs(place) + radius < 1.03).all()


@pytest.mark.parametrize('motion', range(0, 8, 2))
def test_motions_of_a_pair_show_the_same_pictures_around_the_key_frame(motion: int) -> None:
    scene = draw_crowd(np.random.default_rng(0))
    shown = [
        replace(scene, actors=tuple(replace(a, motion=m) for a in scene.actors)).render_frames()
        for m in (motion, motion + 1)
    ]
    np.testing.assert_array_equal(shown[0][1:], shown[1][:0:-1])  # frame 8 + k and frame 8 - k
    assert (shown[0] != shown[1]).any()


@pytest.mark.parametrize(
    ('motion', 'expected'),
    [
        (0, (-1, 0, 0)),
        (1, (1, 0, 0)),
        (2, (0, -1, 0)),
        (3, (0, 1, 0)),
        (4, (0, 0, 1)),
        (5, (0, 0, -1)),
        (6, (1, 0, 0)),  # from the top clockwise: to the right first
        (7, (-1, 0, 0)),
    ],
)
def test_motions_go_where_their_names_say(motion: int, expected: tuple[int, ...]) -> None:
    extent = 3.0 if motion in (4, 5) else 0.5
    actor = Actor('circle', 'red', motion, (0.5, 0.5), 0.15, extent, start=-np.pi / 2)
    path = np.stack(actor.trace_path(np.array([8, 9])))
    step = np.sign(np.round(path[:, 1] - path[:, 0], 3))
    np.testing.assert_array_equal(step, expected)


def test_boxes_bound_the_colour_at_the_key_frame(crowds: list[Crowd]) -> None:
    for crowd in crowds[:5]:
        frames = crowd.render_frames()
        assert frames.shape == (48, 48, 48, 3)
        for index, scene in enumerate(crowd.scenes):
            picture = frames[16 * index + 8].astype(int)
            for actor in scene.actors:
                left, top, right, bottom = np.rint(48 * np.array(actor.find_box())).astype(int)
                inside = np.zeros((48, 48), bool)
                inside[top:bottom, left:right] = True
                painted = np.abs(picture - COLORS[actor.color]).max(-1) < 60
                same = [a for a in scene.actors if a.color == actor.color]
                assert painted[inside].any()
                assert len(same) > 1 or not painted[~inside].any()


@pytest.mark.parametrize('split', SPLITS)
def test_files_are_as_ava_s(split: str, folder: Path) -> None:
    rows = read(folder / f'{split}.csv')
    videos = {path.stem for path in (folder / split).glob('*.mp4')}
    assert len(videos) == SIZES['tiny']['detection'][split == 'test']
    assert {row[0] for row in rows} == videos and {row[1] for row in rows} == {
        '0001',
        '0003',
        '0005',
    }
    boxes = np.array([row[2:6] for row in rows], float)
    assert (boxes >= 0).all() and (boxes <= 1).all() and (boxes[:, :2] < boxes[:, 2:]).all()
    actions = {}
    for video, second, *_, action, entity in rows:
        actions.setdefault((video, second, entity), []).append(int(action))
    assert all(len(ids) == 2 for ids in actions.values())
    assert all(ids[0] in MOTION_IDS and ids[1] in COLOR_IDS for ids in actions.values())
    excluded = read(folder / f'{split}_excluded.csv')
    assert {tuple(row) for row in excluded} <= {tuple(row[:2]) for row in rows} and excluded


@pytest.mark.parametrize('split', SPLITS)
def test_proposals_lie_near_the_actors_and_some_are_false(split: str, folder: Path) -> None:
    true = {tuple(row[:6]) for row in read(folder / f'{split}.csv')}
    boxes = {}
    for video, second, *sides in true:
        boxes.setdefault((video, second), []).append(np.array(sides, float))
    false = []
    for video, second, *sides, score in read(folder / f'{split}_proposals.csv'):
        shifts = [np.abs(np.array(sides, float) - box) for box in boxes[video, second]]
        near = [
            s
            for s, box in zip(shifts, boxes[video, second])
            if (s <= 0.0601 * np.tile(box[2:] - box[:2], 2) + 1e-3).all()
        ]
        if near:
            assert 0.9 <= float(score) <= 1
        else:
            false.append(float(score))
    assert false and min(false) >= 0.8 and max(false) <= 1


def test_labels_are_numbered_from_one(folder: Path) -> None:
    lines = (folder / 'labels.pbtxt').read_text().splitlines()
    names = [line.split('"')[1] for line in lines if 'name' in line]
    numbers = [int(line.split()[1]) for line in lines if 'id:' in line]
    assert (names, numbers) == (list(CROWD_CLASSES), list(range(1, 13)))


def test_videos_are_read_back(folder: Path) -> None:
    crowd = plan_crowds(1, 'test', (0, 3, 1))[0]
    with open_video(folder / crowd.filename) as video:
        assert (video.num_frames, video.avg_fps) == (48, 8)
        seen = np.stack(video.read(range(48))).astype(int)
    assert np.abs(seen - crowd.render_frames()).mean() < 5
