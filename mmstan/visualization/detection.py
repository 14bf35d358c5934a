"""Draw persons and their actions: into frames, a video, or a sheet of key frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

TRUTH, FOUND, OTHER = '#1a7f37', '#0969da', '#9a6700'
"""Colours of annotated persons, of a model's, and of boxes without actions."""
_COLUMNS = 4  # of a sheet
_LARGEST = 48  # key frames of a sheet


@dataclass(frozen=True)
class Person:
    """A box and its lines of text.

    Attributes:
        box: x1, y1, x2, y2 as fractions of width and height.
        lines: Names of actions, with or without scores.
        color: Of the box and its text, as ``#rrggbb``.
    """

    box: Sequence[float]
    lines: Sequence[str] = ()
    color: str = FOUND


@dataclass(frozen=True)
class KeyFrame:
    """A key frame of a picture.

    Attributes:
        frame: (H, W, 3) uint8 RGB.
        title: Text above it.
        persons: Boxes to draw.
    """

    frame: np.ndarray
    title: str
    persons: Sequence[Person] = field(default=())


def draw_persons(frame: np.ndarray, persons: Iterable[Person]) -> np.ndarray:
    """Draw boxes and their lines into a copy of a frame (H, W, 3), uint8 RGB.

    The lines stand inside the box, from its upper left corner downwards, on a darker ground.
    """
    frame = np.ascontiguousarray(frame).copy()
    height, width = frame.shape[:2]
    thickness = max(1, height // 240)
    for person in persons:
        x1, y1, x2, y2 = np.rint(np.array(person.box) * [width, height, width, height]).astype(int)
        corners = (int(x1), int(y1)), (int(min(x2, width)) - 1, int(min(y2, height)) - 1)
        cv2.rectangle(frame, *corners, _read_color(person.color), thickness)
        _write_lines(frame, person.lines, (int(x1) + thickness, int(y1) + thickness))
    return frame


def _write_lines(frame: np.ndarray, lines: Sequence[str], corner: tuple[int, int]) -> None:
    """Write lines into a frame, downwards from a corner (x, y)."""
    size = max(8, frame.shape[0] // 28)  # of a line, in pixels
    scale, thickness = size / 32, max(1, size // 16)
    x, y = max(corner[0], 0), max(corner[1], 0)
    for number, line in enumerate(lines):
        (length, _), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
        top = y + number * size
        ground = frame[top : top + size, x : x + length + 2]
        ground[:] = ground // 3
        place = (x + 1, top + size - max(2, size // 5))
        white = (255, 255, 255)
        cv2.putText(
            frame, line, place, cv2.FONT_HERSHEY_SIMPLEX, scale, white, thickness, cv2.LINE_AA
        )


def _read_color(color: str) -> tuple[int, int, int]:
    """Read ``#rrggbb``."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def choose_nearest(seconds: Sequence[float], time: float) -> int | None:
    """Find the key frame nearest in time, the earlier one of two; None without key frames.

    A key frame's boxes are shown until half-way to the next.

    >>> choose_nearest([1.0, 2.0], 1.5), choose_nearest([1.0, 2.0], 1.6)
    (0, 1)
    """
    if not len(seconds):
        return None
    return int(np.abs(np.asarray(seconds) - time).argmin())


def draw_over_time(
    frames: Iterable[np.ndarray],
    fps: float,
    found: Mapping[float, Sequence[Person]],
    times: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """Draw into each frame the persons of the nearest key frame.

    Args:
        frames: Frames of a video in their order, (H, W, 3) uint8 RGB.
        fps: Frames a second.
        found: Second of a key frame -> its persons.
        times: Seconds at which the frames are shown, where their rate varies.
    """
    seconds = sorted(found)
    for number, frame in enumerate(frames):
        shown = number / fps if times is None else float(times[number])
        nearest = choose_nearest(seconds, shown)
        yield frame if nearest is None else draw_persons(frame, found[seconds[nearest]])


def draw_sheet(path: str | Path, rows: Sequence[Sequence[KeyFrame]], *, title: str = '') -> None:
    """Write a picture of key frames, row by row.

    Args:
        path: The picture's path, ``.png``.
        rows: Key frames of each row; all rows have the same number.
        title: Text above the picture.
    """
    columns = len(rows[0])
    height, width = rows[0][0].frame.shape[:2]
    side = 3.2  # inches of a column
    size = (side * columns, 0.4 + len(rows) * (side * height / width + 0.3))
    figure = Figure(figsize=size, layout='constrained')
    if title:
        figure.suptitle(title, fontsize=9, parse_math=False)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes, shown in zip(grid.flat, chain.from_iterable(rows)):
        draw_key_frame(axes, shown)
    figure.savefig(path, dpi=110)


def lay_out(frames: Sequence[KeyFrame]) -> list[list[KeyFrame]]:
    """Lay key frames out in rows of four; of many, some are chosen evenly.

    The last row is filled up with empty frames.
    """
    if len(frames) > _LARGEST:
        frames = [frames[i] for i in np.linspace(0, len(frames) - 1, _LARGEST).astype(int)]
    columns = min(_COLUMNS, len(frames))
    empty = KeyFrame(np.full_like(frames[0].frame, 255), '')
    filled = [*frames, *[empty] * (-len(frames) % columns)]
    return [filled[i : i + columns] for i in range(0, len(filled), columns)]


def draw_key_frame(axes: Axes, shown: KeyFrame) -> None:
    """Draw a key frame with its boxes; their lines stand at the upper left corner."""
    height, width = shown.frame.shape[:2]
    axes.imshow(shown.frame, extent=(0, width, height, 0))
    axes.axis('off')
    axes.set_title(shown.title, fontsize=8, parse_math=False)
    for person in shown.persons:
        x1, y1, x2, y2 = np.array(person.box) * [width, height, width, height]
        box = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=person.color, linewidth=1.3)
        axes.add_patch(box)
        if person.lines:
            ground: dict[str, Any] = dict(facecolor='black', alpha=0.55, pad=0.8, edgecolor='none')
            vertical = 'bottom' if y1 > height / 8 else 'top'
            # To the side where more of the picture is; the layout does not make room for it.
            x, side = (x1, 'left') if x1 + x2 < width else (x2, 'right')
            look: dict[str, Any] = dict(va=vertical, ha=side, color='white', in_layout=False)
            axes.text(
                x, y1, '\n'.join(person.lines), fontsize=6, bbox=ground, parse_math=False, **look
            )
