"""The videos of an index: which files they are, and which segments of long ones."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from mmengine.logging import print_log

from mmstan.datasets.readers import BrokenVideoError, find_end, find_frames, open_video
from mmstan.datasets.video_files import VIDEO_EXTENSIONS
from mmstan.datasets.visible_files import Passed, walk_visible
from mmstan.text_files import TextFile
from mmstan.wording import name_a_few

SUFFIXES = tuple(f'.{extension}' for extension in sorted(VIDEO_EXTENSIONS - {'', 'null'}))
LISTS = ('.csv', '.txt')

Source = str | os.PathLike[str]
Sources = Source | Iterable[Source]
Segments = tuple[float, float]
"""Length of a segment and distance of two segments' starts, both in seconds."""


class Entry(NamedTuple):
    """A video, or a segment of one, as it was when it was encoded."""

    path: str
    size: int | None
    """Bytes of the file; None where there is no file."""
    mtime: int | None
    """When the file was changed, in nanoseconds."""
    start: float | None = None
    """First second of a segment; None for a whole video."""
    end: float | None = None
    """Last second of a segment."""

    @property
    def place(self) -> tuple[str, float | None, float | None]:
        """Path, start and end: equal for two states of one file."""
        return self.path, self.start, self.end


def list_sources(videos: Sources) -> list[str]:
    """Absolute paths of folders, patterns, lists and files, which are given as one or several."""
    given = [videos] if isinstance(videos, (str, os.PathLike)) else list(videos)
    for source in given:
        if not isinstance(source, (str, os.PathLike)):
            raise ValueError(
                f'videos={source!r}: an index holds files; give a folder, a pattern, a .csv or '
                '.txt list, or paths'
            )
    return [os.path.abspath(os.path.expanduser(os.fspath(source))) for source in given]


def keep_open_sources(sources: Iterable[str]) -> list[str]:
    """The folders, patterns and lists among sources, which may name more videos later."""
    return [
        source
        for source in sources
        if os.path.isdir(source)
        or source.lower().endswith(LISTS)
        or (glob.has_magic(source) and not os.path.exists(source))
    ]


def find_videos(sources: Iterable[str]) -> list[str]:
    """Absolute paths of the videos that sources name, each once, in their order.

    A folder stands for the videos below it, without hidden files and folders; a pattern (``*``,
    ``?``, ``[``) for the files that match, ``.csv`` for its column ``path``, ``.txt`` for a path a
    line; paths in a list are relative to the list.

    Raises:
        ValueError: A source names no video, or a list cannot be read.
        OSError: A list is missing.
    """
    found: dict[str, None] = {}
    for source in sources:
        paths = list(_expand(source))
        if not paths:
            raise ValueError(
                f'{source} names no video; their names end in {", ".join(SUFFIXES[:4])}, ...'
            )
        found.update(dict.fromkeys(paths))
    return list(found)


def _expand(source: str) -> Iterator[str]:
    if os.path.isdir(source):
        passed = Passed()
        files = walk_visible(source, passed)
        yield from sorted(path for path in files if path.lower().endswith(SUFFIXES))
        _report_passed(source, passed)
    elif source.lower().endswith(LISTS):
        yield from _read_list(source)
    elif os.path.exists(source) or not glob.has_magic(source):
        yield source  # a missing file is reported with the broken ones
    else:
        yield from sorted(filter(os.path.isfile, glob.glob(source, recursive=True)))


def _report_passed(folder: str, passed: Passed) -> None:
    """Warn of folders that an index leaves out."""
    for paths, reason in (
        (passed.closed, 'folders that cannot be read'),
        (passed.loops, 'links to a folder above them, not followed'),
    ):
        if paths:
            print_log(f'{folder}: {reason}: {name_a_few(paths)}', 'current', logging.WARNING)


def _read_list(path: str) -> Iterator[str]:
    file = TextFile('', path)
    if path.lower().endswith('.csv'):
        names = [row.fields['path'].strip() for row in file.read_table('path')]
    else:
        names = [text.strip() for _, text in file.read_lines()]
    for name in names:
        yield os.path.normpath(os.path.join(os.path.dirname(path), name))


def describe_file(path: str) -> Entry:
    """A whole video as it is now.

    Raises:
        BrokenVideoError: There is no such file.
    """
    try:
        state = os.stat(path)
    except OSError as error:
        raise BrokenVideoError(path, f'cannot be found or read ({error.strerror})') from None
    return Entry(path, state.st_size, state.st_mtime_ns)


def list_entries(path: str, segments: Segments | None) -> list[Entry]:
    """The entries of a video: itself, or its segments.

    Raises:
        BrokenVideoError: It is missing, or has no length.
    """
    whole = describe_file(path)
    if segments is None:
        return [whole]
    with open_video(path) as video:
        duration = find_end(video.num_frames, video.avg_fps, video.uneven_times)
    return [whole._replace(start=a, end=b) for a, b in cut_segments(duration, segments)]


def cut_segments(duration: float, segments: Segments) -> list[tuple[float, float]]:
    """Start and end of segments, in seconds; the last one ends with the video or before a gap.

    >>> cut_segments(10.0, (4.0, 3.0))
    [(0.0, 4.0), (3.0, 7.0), (6.0, 10.0)]
    >>> cut_segments(3.0, (4.0, 3.0))
    [(0.0, 3.0)]
    """
    seconds, stride = segments
    # A start every ``stride`` seconds, until a segment reaches the end.
    count = 1 + max(0, int(np.ceil(round((duration - seconds) / stride, 6))))
    starts = [round(i * stride, 3) for i in range(count)]
    ends = [round(min(start + seconds, duration), 3) for start in starts]
    return [(start, end) for start, end in zip(starts, ends) if start < end or not start]


def check_segments(segments: Segments | None) -> Segments | None:
    """Raise ValueError unless ``segments`` are two positive numbers of seconds, or None."""
    if segments is None:
        return None
    pair = tuple(map(float, segments))
    if len(pair) != 2 or not all(0 < x < float('inf') for x in pair):
        raise ValueError(
            f'segments={segments!r} must be (seconds, stride), two positive numbers, or None'
        )
    return pair[0], pair[1]


def read_segment(entry: Entry, count: int) -> np.ndarray:
    """``count`` frames (count, H, W, 3), uint8 RGB, spread evenly over a segment.

    Raises:
        BrokenVideoError: They cannot be read.
    """
    start, end = entry.start or 0.0, entry.end or 0.0

    def choose(num_frames: int, fps: float) -> np.ndarray:
        # The middles of ``count`` equal parts.
        seconds = start + (np.arange(count) + 0.5) / count * (end - start)
        places = find_frames(seconds, num_frames, fps, video.uneven_times)
        return np.minimum(places.astype(int), num_frames - 1)

    with open_video(entry.path) as video:
        return np.stack(video.sample(choose))
