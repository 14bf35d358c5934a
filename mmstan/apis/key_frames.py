"""Key frames of videos for action detection, and the boxes of their persons in files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from mmstan.datasets.annotation_files import normalise
from mmstan.datasets.ava_files import check_boxes
from mmstan.datasets.person_boxes import keep_best, read_person_boxes
from mmstan.datasets.readers import BrokenVideoError, find_end, find_frames, open_video
from mmstan.text_files import TextFile
from mmstan.wording import name_a_few, show

Persons = dict[float, np.ndarray]
"""Second of a key frame -> x1, y1, x2, y2 as fractions and the score of its persons, (n, 5)."""


def choose_seconds(
    frames: int, fps: float, every: float, *, times: np.ndarray | None = None
) -> dict[float, int]:
    """Choose key frames at multiples of ``every`` seconds: second -> frame.

    A video that is shorter has one, in its middle. ``times`` are as of
    :func:`~mmstan.datasets.readers.find_frames`.

    >>> choose_seconds(48, 8.0, every=2.0), choose_seconds(8, 8.0, every=2.0)
    ({2.0: 16, 4.0: 32}, {0.5: 4})
    """
    if not 0 < every < float('inf'):
        raise ValueError(f'--every {every:g} must be above 0 seconds')
    end = find_end(frames, fps, times)
    count = int(np.ceil(end / every)) - 1
    seconds = [every * number for number in range(1, count + 1)] or [end / 2]
    places = find_frames(seconds, frames, fps, times).tolist()
    return {round(s, 3): min(round(place), frames - 1) for s, place in zip(seconds, places)}


def read_persons(
    path: str, videos: Iterable[str], *, score: float, pixels: bool = False
) -> dict[str, Persons]:
    """Read the persons of videos from a file of boxes.

    Args:
        path: ``.json``, ``{"SECOND": [[x1, y1, x2, y2, score], ...]}`` for one video (the score may
            be left out), or a file as :func:`~mmstan.datasets.person_boxes.read_person_boxes` reads
            it, with the videos' names without extension.
        videos: Paths of the videos.
        score: Smallest score of a box; where no box of a key frame has it, the best one stays.
        pixels: Whether the boxes are in pixels.

    Returns:
        Path of each video -> its persons; none of a video whose size in pixels cannot be read.

    Raises:
        ValueError: The file has another form, or nothing about a video.
        FileNotFoundError: The file does not exist.
    """
    paths = list(videos)
    if path.lower().endswith('.json'):
        if len(paths) != 1:
            raise ValueError(
                f'--boxes {path}: a json holds the boxes of one video, and {len(paths)} are given; '
                'write a csv: video,timestamp,x1,y1,x2,y2,score'
            )
        size = _measure_frame(paths[0]) if pixels else None
        return {paths[0]: read_json_boxes(path, score=score, size=size)}
    sizes = _measure_frames(paths) if pixels else None
    found, _ = read_person_boxes('--boxes', path, score=score, sizes=sizes)
    persons = {video: _take_video(found, _name_video(video)) for video in paths}
    empty = [
        video
        for video, of_video in persons.items()
        if not of_video and (sizes is None or _name_video(video) in sizes)
    ]
    if empty:
        named = name_a_few(dict.fromkeys(name for name, _ in found)) or 'other videos'
        raise ValueError(
            f'--boxes {path} has no box of {empty[0]}: its first column names {named}; it must be '
            "the video's name without folder and extension"
        )
    return persons


def read_json_boxes(path: str, *, score: float, size: tuple[int, int] | None = None) -> Persons:
    """Read ``{"SECOND": [[x1, y1, x2, y2, score], ...]}``.

    Args:
        path: The file.
        score: Smallest score of a box, see :func:`read_persons`.
        size: Width and height of the frames where the boxes are in pixels.

    Raises:
        ValueError: The file has another form.
        FileNotFoundError: The file does not exist.
    """
    file = TextFile('--boxes', path)
    content = file.read_json()
    if not isinstance(content, dict) or not content:
        raise file.error(f'expected {{"SECOND": [[x1, y1, x2, y2], ...]}}, not {show(content)}')
    persons = {}
    for key, rows in content.items():
        line = file.line_of(f'"{key}"')
        boxes = _read_rows(file, key, rows, line)
        if size is not None:
            boxes[:, :4] /= [*size, *size]
        boxes = boxes[keep_best(boxes, score)]
        check_boxes(file, boxes[:, :4], np.full(len(boxes), line or 1))
        persons[_read_second(file, key, line)] = boxes.astype(np.float32)
    return persons


def _read_second(file: TextFile, key: str, line: int | None) -> float:
    try:
        second = float(key)
    except ValueError:
        second = -1.0
    if not 0 <= second < float('inf'):
        raise file.error(f'the key {show(key)} is no time in seconds', line=line)
    return second


def _read_rows(file: TextFile, key: str, rows: Any, line: int | None) -> np.ndarray:
    """Turn the boxes of a key frame into float64 (n, 5)."""
    try:
        scored = [[*row, 1.0] if len(row) == 4 else row for row in rows]
        boxes = np.array(scored, np.float64) if scored else np.empty((0, 5))
    except (TypeError, ValueError):
        boxes = np.empty(())
    if boxes.ndim != 2 or boxes.shape[1] != 5 or not np.isfinite(boxes).all():
        raise file.error(
            f'the boxes of {key!r} must be lists [x1, y1, x2, y2] or [x1, y1, x2, y2, score]; they '
            f'are {show(rows)}',
            line=line,
        )
    scores = boxes[:, 4].tolist()
    if not all(0 <= score <= 1 for score in scores):
        raise file.error(f'a score of {key!r} is not in [0, 1]: {show(scores)}', line=line)
    return boxes


def _take_video(found: Mapping[tuple[str, float], np.ndarray], name: str) -> Persons:
    return {second: boxes for (video, second), boxes in found.items() if video == name}


def _name_video(path: str) -> str:
    """Name a video as files of boxes do: its file's name without extension, in normal form C.

    Systems write an accent in one of two ways, and annotation files are read in this one.
    """
    return normalise(Path(path).stem)


def _measure_frames(videos: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Name of each video that can be read -> width and height of its frames."""
    sizes = {}
    for video in videos:
        with suppress(BrokenVideoError):  # said by whoever reads its frames next
            sizes[_name_video(video)] = _measure_frame(video)
    return sizes


def _measure_frame(video: str) -> tuple[int, int]:
    """Width and height of a video's frames."""
    with open_video(video) as reader:
        height, width = reader.read([0])[0].shape[:2]
    return width, height
