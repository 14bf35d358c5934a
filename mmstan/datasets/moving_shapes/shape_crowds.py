"""Scenes of action detection: three or four shapes on a board of 2 x 2 cells, each with a motion.

A motion is a function of the time from the key frame, and the second motion of a pair is the first
one with the sign of time turned. So both have the same picture at the key frame, and the same set
of pictures around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mmstan.datasets.moving_shapes.scenes import BACKGROUNDS, COLORS, SHAPES, cover_shape

PIXELS = 48
SCENES = 3
"""Scenes of a video, one after another."""
SCENE_FRAMES = 16
KEY_FRAME = 8
"""Frame of a scene, counted from 0, for which actions are labelled."""
CROWD_COLORS = tuple(COLORS)[:4]
# The centres of the cells, (right, down) in half picture widths; a cell is 1 wide.
_CELLS = ((-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5))
# By axis (left, up, grow, clockwise): the range of a motion's extent over a scene, in half picture
# widths, as a ratio of sizes, in radians; and of the radius at the key frame.
_EXTENTS = ((0.48, 0.6), (0.48, 0.6), (3.0, 4.4), (4.4, 6.0))
_RADII = ((0.15, 0.19), (0.15, 0.19), (0.18, 0.22), (0.14, 0.18))
_JITTER = 0.03  # of the centre, in half picture widths
_ORBIT = 0.24  # radius of the circling motions' path


@dataclass(frozen=True)
class Actor:
    """A coloured shape and its motion; lengths in half picture widths."""

    shape: str
    color: str
    motion: int  # index of MOTIONS
    center: tuple[float, float]
    radius: float
    extent: float
    start: float  # of the circling motions: the angle at the key frame

    def trace_path(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Compute centre x, y (right, down) and radius, (T,) each, at frames counted from 0."""
        time = (np.asarray(frames) - KEY_FRAME) / SCENE_FRAMES
        if self.motion % 2:
            time = -time
        x, y = (np.full(time.shape, value) for value in self.center)
        radius = np.full(time.shape, self.radius)
        axis = self.motion // 2
        if axis == 0:
            return x - self.extent * time, y, radius
        if axis == 1:
            return x, y - self.extent * time, radius
        if axis == 2:
            return x, y, radius * self.extent**time
        angle = self.start + self.extent * time
        return x + _ORBIT * np.cos(angle), y + _ORBIT * np.sin(angle), radius

    def cover_frames(self, frames: Sequence[int]) -> np.ndarray:
        """Compute the share of each pixel that the shape covers, (T, 48, 48) in [0, 1]."""
        x, y = _find_pixels()
        px, py, radius = (
            value.astype(np.float32)[:, None, None] for value in self.trace_path(np.array(frames))
        )
        return cover_shape(self.shape, x - px, y - py, radius, PIXELS)

    def find_box(self) -> tuple[float, float, float, float]:
        """Find the box at the key frame: x1, y1, x2, y2 as fractions of width and height."""
        return _bound(self.cover_frames([KEY_FRAME])[0])


class Still(NamedTuple):
    """A grey shape that stands still and is no actor; lengths in half picture widths."""

    shape: str
    x: float
    y: float
    radius: float
    grey: float

    def cover_picture(self) -> np.ndarray:
        """Compute the share of each pixel that the shape covers, (48, 48) in [0, 1]."""
        x, y = _find_pixels()
        return cover_shape(self.shape, x - self.x, y - self.y, np.float32(self.radius), PIXELS)

    def find_box(self) -> tuple[float, float, float, float]:
        """Find its box: x1, y1, x2, y2 as fractions of width and height."""
        return _bound(self.cover_picture())


@dataclass(frozen=True)
class CrowdScene:
    """Two seconds of a video."""

    grey: float
    slope: tuple[float, float]
    actors: tuple[Actor, ...]
    still: Still | None

    def render_frames(self) -> np.ndarray:
        """Render the scene, (16, 48, 48, 3) uint8 RGB."""
        x, y = _find_pixels()
        canvas = self.grey + self.slope[0] * x + self.slope[1] * y
        if self.still is not None:
            share = self.still.cover_picture()
            canvas = canvas + share * (self.still.grey - canvas)
        frames = np.broadcast_to(canvas[None, :, :, None], (SCENE_FRAMES, *canvas.shape, 3))
        for actor in self.actors:
            shares = actor.cover_frames(range(SCENE_FRAMES))[..., None]
            frames = frames + shares * (np.array(COLORS[actor.color], np.float32) - frames)
        return np.rint(frames).astype(np.uint8)


@dataclass(frozen=True)
class Crowd:
    """One video: its path and its scenes, one after another."""

    filename: str
    scenes: tuple[CrowdScene, ...]

    def render_frames(self) -> np.ndarray:
        """Render the video, (48, 48, 48, 3) uint8 RGB."""
        return np.concatenate([scene.render_frames() for scene in self.scenes])


def plan_crowds(count: int, split: str, key: tuple[int, ...]) -> list[Crowd]:
    """Plan ``count`` videos of a split; the same ``key`` plans the same ones."""
    crowds = []
    for index in range(count):
        # A stream a video: an interrupted rendering goes on with the same videos.
        rng = np.random.default_rng((*key, 1, index))
        scenes = tuple(draw_crowd(rng) for _ in range(SCENES))
        crowds.append(Crowd(f'{split}/{index:06d}.mp4', scenes))
    return crowds


def draw_crowd(rng: np.random.Generator) -> CrowdScene:
    """Draw a random scene: four actors, or three and every second time a still grey shape."""
    grey = rng.uniform(*BACKGROUNDS[str(rng.choice(list(BACKGROUNDS)))])
    slope = rng.uniform(-4, 4, 2).tolist()
    cells = [_CELLS[i] for i in rng.permutation(4)]
    actors = tuple(_draw_actor(rng, cell) for cell in cells[: 3 + int(rng.integers(2))])
    still = None
    if len(actors) == 3 and rng.integers(2):
        x, y = (cell + rng.uniform(-0.2, 0.2) for cell in cells[3])
        shape = str(rng.choice(SHAPES))
        still = Still(shape, x, y, rng.uniform(0.15, 0.22), grey + rng.uniform(60, 90))
    return CrowdScene(grey, (slope[0], slope[1]), actors, still)


def _draw_actor(rng: np.random.Generator, cell: tuple[float, float]) -> Actor:
    motion = int(rng.integers(8))
    x, y = (value + rng.uniform(-_JITTER, _JITTER) for value in cell)
    return Actor(
        shape=str(rng.choice(SHAPES)),
        color=str(rng.choice(CROWD_COLORS)),
        motion=motion,
        center=(x, y),
        radius=rng.uniform(*_RADII[motion // 2]),
        extent=rng.uniform(*_EXTENTS[motion // 2]),
        start=rng.uniform(0, 2 * np.pi),
    )


def _find_pixels() -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres in [-1, 1], x to the right and y down."""
    y, x = np.mgrid[:PIXELS, :PIXELS].astype(np.float32) * (2 / PIXELS) - (1 - 1 / PIXELS)
    return x, y


def _bound(share: np.ndarray) -> tuple[float, float, float, float]:
    """Bound the pixels that are half covered: x1, y1, x2, y2 as fractions."""
    rows, columns = (np.flatnonzero((share > 0.5).any(axis)) for axis in (1, 0))
    x1, x2 = columns[0] / PIXELS, (columns[-1] + 1) / PIXELS
    y1, y2 = rows[0] / PIXELS, (rows[-1] + 1) / PIXELS
    return float(x1), float(y1), float(x2), float(y2)
