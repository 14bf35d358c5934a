"""K-shot training lists."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from mmstan.datasets.annotation_files import normalise
from mmstan.datasets.video_lists import parse_line
from mmstan.wording import name_a_few


def choose_few_shot(lines: Iterable[str], shots: int, *, seed: int) -> list[str]:
    """Choose ``shots`` videos of each class by ``seed``; returns their lines in class order.

    A hash of the seed and the file's stem ranks the videos of a class, and the first ones are
    taken. So the 2-shot list is a part of the 4-shot list, and the choice depends neither on the
    order of ``lines`` nor on folders and file types. A video that a class lists twice counts once.

    Args:
        lines: A training list, ``path label`` a line, as ``mmstan.VideoDataset`` reads it.
        shots: K.
        seed: Another one gives another choice.

    Raises:
        ValueError: A line is of another form, or a class has fewer than ``shots`` videos.

    >>> choose_few_shot(['b.mp4 0', 'c.mp4 1', 'a.mp4 0'], 1, seed=0)
    ['b.mp4 0', 'c.mp4 1']
    """
    if shots < 1:
        raise ValueError(f'shots={shots} must be at least 1')
    videos = _group_by_class(lines)
    # Classes between 0 and the largest label that have no video count 0, and are refused below.
    counts = {label: len(videos.get(label, ())) for label in range(max(videos, default=0) + 1)}
    short = [f'class {label} has {n}' for label, n in counts.items() if n < shots]
    if short:
        raise ValueError(
            f'shots={shots}, but {name_a_few(short)}; take fewer shots, or a list with more videos'
        )
    ranked = {
        label: sorted(videos[label], key=lambda video: _rank(video, seed)) for label in counts
    }
    return [line for label in counts for _, line in ranked[label][:shots]]


def _group_by_class(lines: Iterable[str]) -> dict[int, list[tuple[str, str]]]:
    """Group the path and line of each video by its label."""
    videos: dict[int, dict[str, tuple[str, str]]] = defaultdict(dict)
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                path, (label,) = parse_line(line)
            except ValueError as error:
                raise ValueError(f'line {number}: {error}') from None
            videos[label].setdefault(normalise(os.path.normpath(path)), (path, line.strip()))
    return {label: [*of_class.values()] for label, of_class in videos.items()}


def _rank(video: tuple[str, str], seed: int) -> tuple[bytes, str]:
    stem = normalise(Path(video[0]).stem)
    return hashlib.sha256(f'{seed} {stem}'.encode()).digest(), video[0]
