"""AVA's annotations: boxes with actions at key frames, and excluded key frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mmstan.datasets.annotation_files import check_id, open_annotations
from mmstan.text_files import Line, TextFile
from mmstan.wording import show

KeyFrame = tuple[str, float]
"""A video's id and a time in seconds; the time is an int where it is whole."""

_ROUNDING = 1e-6  # by how much a float32 may exceed 1
_COLUMNS = 'video,timestamp,x1,y1,x2,y2,action,entity'


class BoxRows(NamedTuple):
    """Lines of a csv with boxes, in the file's order."""

    file: TextFile
    lines: np.ndarray
    """Line numbers, int (n,)."""
    frames: list[KeyFrame]
    boxes: np.ndarray
    """x1, y1, x2, y2 in [0, 1], float64 (n, 4)."""
    rest: list[tuple[str, ...]]
    """The fields behind the boxes, the same number in each row."""


class Annotations(NamedTuple):
    """Lines of AVA's annotations, one for each action of a person."""

    file: TextFile
    lines: np.ndarray
    """Line numbers, int (n,)."""
    frames: list[KeyFrame]
    boxes: np.ndarray
    """x1, y1, x2, y2 in [0, 1], float64 (n, 4)."""
    actions: np.ndarray
    """Ids of actions, int (n,), 1 or more."""
    entities: np.ndarray | None
    """Ids of persons, int (n,), if the file has them."""


def read_annotations(argument: str, path: str) -> Annotations:
    """Read a csv without a header, ``video,timestamp,x1,y1,x2,y2,action,entity`` a line.

    The column ``entity`` may be absent. A line is one action of one person; boxes are fractions
    of width and height.

    Args:
        argument: The argument that names the file, for messages.
        path: The csv.

    Raises:
        ValueError: The file is empty, or a line has another form.
        FileNotFoundError: The file does not exist.
    """
    rows = read_box_rows(argument, path, (7, 8), _COLUMNS)
    check_boxes(rows.file, rows.boxes, rows.lines)
    actions = _read_numbers(rows, 0, 'action')
    low = np.flatnonzero(actions < 1)
    if len(low):
        raise rows.file.error(
            f'the action {actions[low[0]]} must be 1 or more; number the actions 1, 2, ... (0 is '
            'kept for no action)',
            line=rows.lines[low[0]],
        )
    entities = _read_numbers(rows, 1, 'entity') if len(rows.rest[0]) == 2 else None
    return Annotations(rows.file, rows.lines, rows.frames, rows.boxes, actions, entities)


def read_excluded(argument: str, path: str) -> set[KeyFrame]:
    """Read the key frames to leave out, ``video,timestamp`` a line; the file may be empty.

    Raises:
        ValueError: A line has another form.
        FileNotFoundError: The file does not exist.
    """
    file = open_annotations(argument, path)
    excluded = set()
    for line in file.read_lines():
        fields = line.text.strip().split(',')
        if len(fields) != 2:
            raise file.error(f"{show(line.text)} must be 'video,timestamp'", line=line.number)
        excluded.add(_read_frame(file, line, fields))
    return excluded


def read_box_rows(argument: str, path: str, widths: Sequence[int], columns: str) -> BoxRows:
    """Read a csv without a header that begins with ``video,timestamp,x1,y1,x2,y2``.

    Args:
        argument: The argument that names the file, for messages.
        path: The csv.
        widths: Allowed numbers of columns; all rows have the same one.
        columns: The columns, for messages.

    Raises:
        ValueError: The file is empty, or a line has another number of columns, no time or no box.
    """
    file = open_annotations(argument, path)
    lines = file.read_lines()
    if not lines:
        raise file.error(f'it has no line; give a csv with the columns {columns}')
    rows = [line.text.strip().split(',') for line in lines]
    width = len(rows[0])
    for line, row in zip(lines, rows):
        if len(row) != width or width not in widths:
            others = f', and line {lines[0].number} has {width}' if width in widths else ''
            raise file.error(
                f'{show(line.text)} has {len(row)} columns{others}; expected {columns}',
                line=line.number,
            )
    known: dict[tuple[str, str], KeyFrame] = {}  # a frame has several lines: it is read once
    frames = []
    for line, row in zip(lines, rows):
        key = row[0], row[1]
        if key not in known:
            known[key] = _read_frame(file, line, row)
        frames.append(known[key])
    numbers = np.array([line.number for line in lines])
    return BoxRows(file, numbers, frames, _read_boxes(file, lines, rows), [(*r[6:],) for r in rows])


def check_boxes(file: TextFile, boxes: np.ndarray, lines: np.ndarray | None = None) -> None:
    """Check boxes (n, 4).

    Raises:
        ValueError: A value is outside [0, 1] by more than rounding, or a box has no area.
    """
    outside: Any = ~((boxes >= -_ROUNDING) & (boxes <= 1 + _ROUNDING)).all(axis=1)
    empty = (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)
    wrong = np.flatnonzero(outside | empty)
    if len(wrong):
        first = wrong[0]
        box = ', '.join(f'{value:g}' for value in boxes[first])
        problem = (
            f'the box ({box}) has a value outside [0, 1]; boxes are fractions of width and height: '
            "divide x1, x2 by the video's width and y1, y2 by its height"
            if outside[first]
            else f'the box ({box}) has no area; the columns are x1,y1,x2,y2 with x1 < x2 and '
            'y1 < y2: correct it or remove its line'
        )
        raise file.error(problem, line=None if lines is None else int(lines[first]))
    np.clip(boxes, 0, 1, out=boxes)


def make_frame(video: str, seconds: float) -> KeyFrame:
    """Make the key of a frame; times are compared to a thousandth of a second.

    >>> make_frame('a', 902.0), make_frame('a', 0.5)
    (('a', 902), ('a', 0.5))
    """
    seconds = round(float(seconds), 3)
    return video, int(seconds) if seconds.is_integer() else seconds


def name_frame(frame: KeyFrame) -> str:
    """Name a key frame as AVA's files do.

    >>> name_frame(('a', 902)), name_frame(('a', 0.5))
    ('a,0902', 'a,0.5')
    """
    video, seconds = frame
    return f'{video},{seconds:04d}' if isinstance(seconds, int) else f'{video},{seconds}'


def _read_frame(file: TextFile, line: Line, fields: Sequence[str]) -> KeyFrame:
    video = check_id(file, fields[0], line.number)
    if not re.fullmatch(r'\d{1,7}(\.\d*)?', fields[1].strip(), re.ASCII):
        header = ' (is it a header? remove it)' if not re.search(r'\d', fields[1]) else ''
        raise file.error(
            f'the time {show(fields[1])} is not a number of seconds{header}', line=line.number
        )
    return make_frame(video, float(fields[1]))


def _read_boxes(file: TextFile, lines: Sequence[Line], rows: Sequence[Sequence[str]]) -> np.ndarray:
    """Read columns 2 to 5, float64 (n, 4)."""
    try:
        boxes: Any = np.array([[*map(float, row[2:6])] for row in rows])
        if np.isfinite(boxes).all():
            return boxes
    except ValueError:
        pass  # the loop finds the line
    for line, row in zip(lines, rows):
        for field in row[2:6]:
            if not re.fullmatch(r'\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*', field, re.I | re.A):
                raise file.error(
                    f'{show(field)} in {show(line.text)} is no number: a box is x1,y1,x2,y2 as '
                    'fractions of width and height',
                    line=line.number,
                )
    raise file.error('it has numbers that are too large; boxes are fractions')


def _read_numbers(rows: BoxRows, column: int, name: str) -> np.ndarray:
    """Read a column of whole numbers behind the boxes, int (n,)."""
    try:
        return np.array([int(fields[column]) for fields in rows.rest])
    except ValueError:
        pass  # the loop finds the line
    for line, fields in zip(rows.lines, rows.rest):
        if not re.fullmatch(r'\s*-?\d+\s*', fields[column], re.ASCII):
            raise rows.file.error(
                f'the {name} {show(fields[column])} is not a whole number; the columns are '
                f'{_COLUMNS}',
                line=int(line),
            )
    raise rows.file.error(f'it has numbers of {name} that are too large')
