"""The scenes of Moving Shapes: events, their look, their rendering and their captions.

Motions come in pairs; the second of a pair is the first played backwards. A scene is drawn and
rendered before the direction is chosen, so the set of frames carries no sign of the direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# Label 2k is rendered; label 2k + 1 is the same rendering played backwards.
MOTIONS = ('left', 'right', 'up', 'down', 'grow', 'shrink', 'clockwise', 'anticlockwise')
CLASS_NAMES = (
    'moving left',
    'moving right',
    'moving up',
    'moving down',
    'growing',
    'shrinking',
    'circling clockwise',
    'circling anticlockwise',
)
_VERBS = (
    'moves left',
    'moves right',
    'moves up',
    'moves down',
    'grows',
    'shrinks',
    'circles clockwise',
    'circles anticlockwise',
)
SHAPES = ('square', 'circle', 'triangle', 'cross', 'ring')
COLORS = {
    'red': (255, 70, 70),
    'green': (70, 220, 90),
    'blue': (90, 120, 255),
    'yellow': (240, 220, 40),
    'cyan': (40, 220, 230),
    'pink': (245, 130, 200),
    'orange': (245, 140, 30),
    'white': (245, 245, 245),
}
# Range of grey levels. The moving shape is brighter than all else: a small model that starts from
# random weights otherwise spends the few minutes it has on finding the shape.
BACKGROUNDS = {'dark': (5, 20), 'grey': (40, 60)}
SPEEDS = ('slowly', 'quickly')
# Extent of a motion in one clip, by speed: in half picture widths, as a ratio of sizes, in radians.
_TRAVEL = ((1.1, 1.25), (1.45, 1.6))
_GROWTH = ((3.0, 3.4), (4.6, 5.4))
_SWEEP = ((3.6, 4.2), (5.2, 5.9))
_RADII = {'small': 0.3, 'big': 0.42}


class Event(NamedTuple):
    """The facts of a caption: shape, colour and motion (an index of MOTIONS)."""

    shape: str
    color: str
    motion: int


ALL_EVENTS = [
    Event(shape, color, motion)
    for shape in SHAPES
    for color in COLORS
    for motion in range(len(MOTIONS))
]


@dataclass(frozen=True)
class Scene:
    """Everything about one clip but the direction of time; lengths in half picture widths."""

    shape: str
    color: str
    background: str
    speed: str
    size: str
    grey: float
    slope: tuple[float, float]
    tilt: float
    center: tuple[float, float]
    drift: float
    start: float
    extent: float
    still: tuple[tuple[str, float, float, float], ...]  # shape, x, y, grey level


def draw_event(rng: np.random.Generator, motion: int) -> Event:
    """Draw a random shape and colour for ``motion``."""
    return Event(str(rng.choice(SHAPES)), str(rng.choice(list(COLORS))), motion)


def draw_scene(rng: np.random.Generator, event: Event) -> Scene:
    """Draw a random scene for an event; both motions of a pair use the same draws."""
    axis = event.motion // 2
    speed = int(rng.integers(2))
    background = str(rng.choice(list(BACKGROUNDS)))
    grey = rng.uniform(*BACKGROUNDS[background])
    extents = (_TRAVEL, _TRAVEL, _GROWTH, _SWEEP)[axis]
    reach = (0.27, 0.27, 0.18, 0.06)[axis]
    still = tuple(
        (str(rng.choice(SHAPES)), *rng.uniform(-0.8, 0.8, 2).tolist(), grey + 25.0)
        for _ in range(rng.integers(1, 3))
    )
    return Scene(
        shape=event.shape,
        color=event.color,
        background=background,
        speed=SPEEDS[speed],
        size=str(rng.choice(list(_RADII))),
        grey=grey,
        slope=tuple(rng.uniform(-4, 4, 2).tolist()),
        tilt=rng.uniform(-0.25, 0.25),
        center=tuple(rng.uniform(-reach, reach, 2).tolist()),
        drift=rng.uniform(-0.12, 0.12),
        start=rng.uniform(-0.3, 0.3),
        extent=rng.uniform(*extents[speed]),
        still=still,
    )


def render(scene: Scene, motion: int, num_frames: int, size: int) -> np.ndarray:
    """Render frames (T, size, size, 3) uint8 RGB.

    An odd ``motion`` is the rendering of the even one before it, played backwards.
    """
    # Pixel centres in [-1, 1], x to the right and y down.
    y, x = np.mgrid[:size, :size].astype(np.float32) * (2 / size) - (1 - 1 / size)
    canvas = scene.grey + scene.slope[0] * x + scene.slope[1] * y
    # The still shapes lie behind the moving one, which turns by the scene's tilt.
    for shape, left, top, grey in scene.still:
        cover = cover_shape(shape, x - left, y - top, np.float32(0.12), size)
        canvas = canvas + cover * (grey - canvas)
    px, py, radius = (
        value.astype(np.float32)[:, None, None]
        for value in _trace_path(scene, motion // 2, num_frames)
    )
    cos, sin = np.float32(np.cos(scene.tilt)), np.float32(np.sin(scene.tilt))
    dx, dy = x - px, y - py  # (T, size, size)
    cover = cover_shape(scene.shape, cos * dx + sin * dy, cos * dy - sin * dx, radius, size)[
        ..., None
    ]
    color = np.array(COLORS[scene.color], np.float32)
    frames = canvas[None, :, :, None] * (1 - cover) + cover * color
    frames = np.rint(frames).astype(np.uint8)
    return frames[::-1] if motion % 2 else frames


def _trace_path(
    scene: Scene, axis: int, num_frames: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute centre x, y (right, down) and radius, (T,) each, of the pair's first motion."""
    time = np.linspace(-0.5, 0.5, num_frames)
    (cx, cy), radius = scene.center, np.full(num_frames, _RADII[scene.size])
    along, across = -scene.extent * time, scene.drift * time
    if axis == 0:  # left; the centre varies little along the way, or it would hint at the direction
        return cx / 3 + along, cy + across, radius
    if axis == 1:  # up
        return cx + across, cy / 3 + along, radius
    if axis == 2:  # grow, by the factor `extent` over the clip
        return cx + across, cy + across, radius * scene.extent**time
    angle = scene.start - np.pi / 2 + scene.extent * (time + 0.5)  # from the top, clockwise
    return cx + 0.55 * np.cos(angle), cy + 0.55 * np.sin(angle), radius * 0.85


def cover_shape(
    shape: str, x: np.ndarray, y: np.ndarray, radius: np.ndarray | np.float32, size: int
) -> np.ndarray:
    """Compute the share of each pixel that the shape covers, in [0, 1].

    The share falls from 1 to 0 within one pixel around the outline, where the signed distance is 0.
    """
    # Signed distances in half picture widths, negative inside.
    if shape in ('circle', 'ring'):
        distance = np.sqrt(x * x + y * y) - radius
        if shape == 'ring':  # the outer half radius of a disk
            distance = np.abs(distance + 0.25 * radius) - 0.25 * radius
    elif shape == 'square':
        distance = np.maximum(np.abs(x), np.abs(y)) - 0.85 * radius
    elif shape == 'triangle':
        distance = np.maximum(np.abs(x) * 0.866 - y * 0.5 - 0.55 * radius, y - 0.55 * radius)
    else:  # a cross: by symmetry one bar, along the larger coordinate
        long, thin = np.maximum(np.abs(x), np.abs(y)), np.minimum(np.abs(x), np.abs(y))
        distance = np.maximum(long - radius, thin - 0.35 * radius)
    return np.clip(0.5 - distance * (size / 2), 0, 1)


def write_captions(scene: Scene, motion: int) -> list[str]:
    """Write three captions, from short to long; each names the event."""
    subject, verb = f'{scene.color} {scene.shape}', _VERBS[motion]
    number = ('one grey shape stays', 'two grey shapes stay')[len(scene.still) - 1]
    return [
        describe_event(Event(scene.shape, scene.color, motion)),
        f'a {scene.size} {subject} {verb} {scene.speed}',
        f'in front of a {scene.background} background a {scene.size} {subject} {verb} '
        f'{scene.speed} while {number} still',
    ]


def describe_event(event: Event) -> str:
    """Write the shortest caption of an event."""
    article = 'an' if event.color == 'orange' else 'a'
    return f'{article} {event.color} {event.shape} {_VERBS[event.motion]}'
