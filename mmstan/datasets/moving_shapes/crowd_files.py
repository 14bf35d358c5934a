"""The annotation files of Moving Shapes' detection task, in AVA's formats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from mmstan.datasets.moving_shapes.encode import FPS
from mmstan.datasets.moving_shapes.scenes import CLASS_NAMES
from mmstan.datasets.moving_shapes.shape_crowds import (
    CROWD_COLORS,
    KEY_FRAME,
    SCENE_FRAMES,
    Crowd,
    CrowdScene,
)

CROWD_CLASSES = (*CLASS_NAMES, *CROWD_COLORS)
"""Names of the actions 1 to 12: eight motions and four colours."""
MOTION_IDS = range(1, len(CLASS_NAMES) + 1)
COLOR_IDS = range(len(CLASS_NAMES) + 1, len(CROWD_CLASSES) + 1)
_EXCLUDED = 0.03  # share of the key frames that are left out of the test
_SHIFT = 0.06  # a proposal's sides move by up to this share of the box
Frame = tuple[str, str]
"""A key frame: name of the video and time, as they stand in a file."""
Box = tuple[float, float, float, float]


def write_crowds(folder: Path, split: str, crowds: Sequence[Crowd], key: tuple[int, ...]) -> None:
    """Write a split's actions, proposals and excluded times, and ``labels.pbtxt``."""
    rng = np.random.default_rng((*key, 2))
    frames = list(_list_frames(crowds))
    _write(folder / f'{split}.csv', _list_actions(frames))
    _write(folder / f'{split}_proposals.csv', _list_proposals(frames, rng))
    count = max(1, round(_EXCLUDED * len(frames)))
    chosen = np.sort(rng.choice(len(frames), count, replace=False))
    _write(folder / f'{split}_excluded.csv', (','.join(frames[i][0]) for i in chosen))
    _write(folder / 'labels.pbtxt', _list_labels())


def _list_frames(crowds: Sequence[Crowd]) -> Iterator[tuple[Frame, CrowdScene]]:
    """Give each key frame with its scene."""
    for crowd in crowds:
        for index, scene in enumerate(crowd.scenes):
            second = (index * SCENE_FRAMES + KEY_FRAME) // FPS
            yield (PurePosixPath(crowd.filename).stem, f'{second:04d}'), scene


def _list_actions(frames: Iterable[tuple[Frame, CrowdScene]]) -> Iterator[str]:
    """A line for each action of each actor: its motion and its colour."""
    for frame, scene in frames:
        for entity, actor in enumerate(scene.actors):
            for action in (1 + actor.motion, COLOR_IDS[CROWD_COLORS.index(actor.color)]):
                yield f'{_format(frame, actor.find_box())},{action},{entity}'


def _list_proposals(
    frames: Iterable[tuple[Frame, CrowdScene]], rng: np.random.Generator
) -> Iterator[str]:
    """A line for each box that a detector of shapes could find, with its score."""
    for frame, scene in frames:
        for actor in scene.actors:
            box = _shift_sides(actor.find_box(), rng)
            yield f'{_format(frame, box)},{rng.uniform(0.9, 1):.4f}'
        if scene.still is not None:
            # Half of the shapes that are no actors pass a threshold of 0.9.
            box = _shift_sides(scene.still.find_box(), rng)
            yield f'{_format(frame, box)},{rng.uniform(0.8, 1):.4f}'


def _shift_sides(box: Box, rng: np.random.Generator) -> Box:
    """Move each side on its own, within the picture."""
    sides = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    x1, y1, x2, y2 = (box + _SHIFT * sides * rng.uniform(-1, 1, 4)).clip(0, 1).tolist()
    return x1, y1, x2, y2


def _list_labels() -> Iterator[str]:
    for number, name in enumerate(CROWD_CLASSES, 1):
        yield f'item {{\n  name: "{name}"\n  id: {number}\n}}'


def _format(frame: Frame, box: Box) -> str:
    return ','.join([*frame, *(f'{side:.3f}' for side in box)])


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text('\n'.join(lines) + '\n', 'utf-8')
