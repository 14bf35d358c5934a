"""K-shot training lists."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path


def few_shot(lines: Iterable[str], shots: int, *, seed: int) -> list[str]:
    """``shots`` videos of each class, chosen by ``seed``, in the order of the classes.

    A class's videos are ranked by a hash of the seed and the file's stem, and the first ones are
    taken: the 2-shot list is a part of the 4-shot list, and the choice depends neither on the order
    of ``lines`` nor on folders and file types.

    Args:
        lines: A training list, ``path label`` a line.
        shots: K.
        seed: Another one gives another choice.

    Raises:
        ValueError: A line is of another form, or a class has fewer than ``shots`` videos.

    >>> few_shot(['b.mp4 0', 'c.mp4 1', 'a.mp4 0'], 1, seed=0)
    ['b.mp4 0', 'c.mp4 1']
    """
    if shots < 1:
        raise ValueError(f'shots={shots} must be at least 1')
    videos = _videos_by_class(lines)
    counts = {label: len(videos.get(label, ())) for label in range(max(videos, default=0) + 1)}
    short = [f'class {label} has {n}' for label, n in counts.items() if n < shots]
    if short:
        more = f' and {len(short) - 5} more' if len(short) > 5 else ''
        raise ValueError(
            f'shots={shots}, but {", ".join(short[:5])}{more}; take fewer shots, or a list with '
            'more videos'
        )
    ranked = {label: sorted(videos[label], key=lambda path: _rank(path, seed)) for label in counts}
    return [f'{path} {label}' for label in counts for path in ranked[label][:shots]]


def _videos_by_class(lines: Iterable[str]) -> dict[int, list[str]]:
    videos = defaultdict(list)
    for number, line in enumerate(lines, start=1):
        parts = line.split()
        if parts:
            if len(parts) != 2 or not parts[1].isdecimal():
                raise ValueError(f"line {number} is {line.strip()!r}, but must be 'path label'")
            videos[int(parts[1])].append(parts[0])
    return videos


def _rank(path: str, seed: int) -> tuple[bytes, str]:
    stem = Path(path).stem
    return hashlib.sha256(f'{seed} {stem}'.encode()).digest(), path
