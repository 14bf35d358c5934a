"""Which file of a folder is which video."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

# A file without an extension, or whose name ends in a bare '.', counts as a video too.
VIDEO_EXTENSIONS = frozenset({
    '', '3g2', '3gp', 'asf', 'avi', 'divx', 'dv', 'f4v', 'flv', 'm2ts', 'm4v', 'mjpeg', 'mkv',
    'mov', 'mp4', 'mpe', 'mpeg', 'mpg', 'mts', 'mxf', 'null', 'ogg', 'ogv', 'qt', 'rm', 'rmvb',
    'ts', 'vob', 'webm', 'wmv', 'xvid',
})  # fmt: skip


class VideoFiles:
    """The files below a folder, scanned once, by name and by stem.

    Args:
        folder: Where the videos are.
        subfolders: Which of its folders to scan, relative to it; '' is the folder itself.
        recursive: Scan everything below ``folder`` instead; names are then those of the files
            alone, wherever they lie.
    """

    def __init__(
        self,
        folder: str,
        subfolders: Iterable[str] = ('',),
        *,
        recursive: bool = False,
    ) -> None:
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        self.ambiguous: list[tuple[str, list[str]]] = []
        """Videos that several files may be, and these files; the first of them was taken."""
        if recursive:
            for path in _walk(folder):
                self._add(os.path.basename(path), path)
        else:
            for subfolder in sorted(set(subfolders)):
                for path in _scan(os.path.join(folder, subfolder))[0]:
                    self._add(os.path.join(subfolder, os.path.basename(path)), path)

    def _add(self, name: str, path: str) -> None:
        self._by_name[name].append(path)
        stem, extension = split_extension(name)
        if extension.lower() in VIDEO_EXTENSIONS:
            self._by_stem[stem].append(path)

    def find(self, *names: str, have_extension: bool = False) -> str | None:
        """The path of the video that goes by ``names``.

        It is the file of that very name, else the one with a video's extension, in any case,
        after the name; with ``have_extension`` else the one with another extension in the name.
        """
        stems = [split_extension(name)[0] for name in names] if have_extension else []
        for table, keys in ((self._by_name, names), (self._by_stem, (*names, *stems))):
            for key in keys:
                if key in table:
                    paths = sorted(table[key])
                    if len(paths) > 1:
                        self.ambiguous.append((names[0], paths))
                    return paths[0]
        return None

    def first_names(self, count: int) -> list[str]:
        """A few of the names that are there, for messages."""
        return sorted(self._by_name)[:count]


def split_extension(name: str) -> tuple[str, str]:
    """Cut at the last point, which goes: 'a.b.MP4' -> ('a.b', 'MP4'), 'a.' -> ('a', '')."""
    stem, point, extension = name.rpartition('.')
    return (stem, extension) if point and os.sep not in extension else (name, '')


def _walk(folder: str) -> Iterator[str]:
    """All files below ``folder``, through links too, once."""
    seen: set[str] = set()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        if os.path.realpath(here) in seen:
            continue
        seen.add(os.path.realpath(here))
        files, folders = _scan(here)
        yield from files
        waiting.extend(folders)


def _scan(folder: str) -> tuple[Sequence[str], Sequence[str]]:
    """The files and the folders in ``folder``; none where it does not exist."""
    files: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(folder or os.curdir) as entries:
            for entry in entries:
                (folders if entry.is_dir() else files).append(os.path.join(folder, entry.name))
    except (FileNotFoundError, NotADirectoryError):
        pass
    return files, folders
