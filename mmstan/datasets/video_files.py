"""Finds the files of videos in a folder by their names."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from mmstan.datasets.annotation_files import normalise

# A file without an extension counts as a video too, and so does a name that ends in a bare '.'.
VIDEO_EXTENSIONS = frozenset({
    '', '3g2', '3gp', 'asf', 'avi', 'divx', 'dv', 'f4v', 'flv', 'm2ts', 'm4v', 'mjpeg',
    'mkv', 'mov', 'mp4', 'mpe', 'mpeg', 'mpg', 'mts', 'mxf', 'null', 'ogg', 'ogv', 'qt', 'rm',
    'rmvb', 'ts', 'vob', 'webm', 'wmv', 'xvid',
})  # fmt: skip


class VideoFiles:
    """The files below a folder, scanned once, by name and by stem.

    Names are compared in Unicode's normal form C: macOS writes an accent apart from its letter,
    most other systems write them as one.

    Args:
        folder: The folder of the videos.
        subfolders: Which of its folders to scan, relative to it; '' is the folder itself.
        recursive: Scan everything below ``folder`` instead; names are then bare file names.
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
        """Names that several files match, with these files; the first file was taken."""
        if recursive:
            for path in _walk(folder):
                self._add(os.path.basename(path), path)
        else:
            spellings = Spellings(folder)
            for subfolder in sorted(set(subfolders)):
                for path in _scan(spellings.find(subfolder))[0]:
                    self._add(os.path.join(subfolder, os.path.basename(path)), path)

    def _add(self, name: str, path: str) -> None:
        name = normalise(name)
        self._by_name[name].append(path)
        stem, extension = split_extension(name)
        if extension.lower() in VIDEO_EXTENSIONS:
            self._by_stem[stem].append(path)

    def find(self, *names: str, have_extension: bool = False) -> str | None:
        """Find the path of the video with one of ``names``; None if there is no such file.

        The exact name comes first, then the name with a video's extension (in any case) added. With
        ``have_extension`` the extension in the name may also be replaced by another.
        """
        names = tuple(map(normalise, names))
        stems = [split_extension(name)[0] for name in names] if have_extension else []
        # From the closest match to the loosest; names come in the caller's order of preference.
        for table, keys in ((self._by_name, names), (self._by_stem, (*names, *stems))):
            for key in keys:
                if key in table:
                    paths = sorted(table[key])
                    if len(paths) > 1:
                        self.ambiguous.append((names[0], paths))
                    return paths[0]
        return None

    def list_some_names(self, count: int) -> list[str]:
        """List a few of the names in the folder, for messages."""
        return sorted(self._by_name)[:count]


def make_folder_error(folder: str) -> FileNotFoundError:
    """Make the error for a folder of videos that does not exist, for the caller to raise."""
    return FileNotFoundError(
        f'data_prefix={folder!r} is not a folder; put the videos there as docs/data.md says, or '
        'set data_prefix of the data set to where they are'
    )


def find_files(
    folder: str,
    names: Mapping[str, Sequence[str]],
    *,
    recursive: bool,
    have_extension: bool,
) -> tuple[dict[str, str], list[str]]:
    """Find the files of videos.

    Args:
        folder: The folder of the videos.
        names: Possible names of a video's file, by video.
        recursive: Whether files may be anywhere below ``folder``.
        have_extension: Whether the names have the extension that the files once had.

    Returns:
        Paths by video, without missing videos, and warnings.

    Raises:
        FileNotFoundError: The folder is missing, or all files are.
    """
    if not os.path.isdir(folder or os.curdir):
        raise make_folder_error(folder)
    names = {video: [*map(os.path.normpath, aliases)] for video, aliases in names.items()}
    # Names may lead into folders; only these folders are scanned.
    places = {os.path.dirname(name) for aliases in names.values() for name in aliases}
    there = VideoFiles(folder, places, recursive=recursive)
    found = {
        video: there.find(*aliases, have_extension=have_extension)
        for video, aliases in names.items()
    }
    files = {video: path for video, path in found.items() if path is not None}
    if not files:
        raise FileNotFoundError(
            f'data_prefix={folder!r} has none of the {len(names)} videos: wanted '
            f'{[*names][:3]}, found {there.list_some_names(3)}: check the folder and how its files '
            'are called'
        )
    doubts = [*doubt_ambiguous(folder, there, len(names)), *_doubt_shared(files)]
    return files, doubts


def doubt_ambiguous(folder: str, there: VideoFiles, total: int) -> Iterator[str]:
    """Warn of names that several files match, where any of ``total`` videos has one."""
    if there.ambiguous:
        video, paths = there.ambiguous[0]
        yield (
            f'{len(there.ambiguous)} of {total} videos have several files in {folder}; the first '
            f'is taken, e.g. for {video} of {paths}'
        )


def _doubt_shared(files: Mapping[str, str]) -> Iterator[str]:
    """Warn of videos with different names that have the same file."""
    owners: dict[str, str] = {}
    shared = [(video, owners.setdefault(path, video)) for video, path in files.items()]
    shared = [(video, owner) for video, owner in shared if video != owner]
    if shared:
        video, owner = shared[0]
        yield (
            f'{len(shared)} of {len(files)} videos have the file of another one, e.g. {video} that '
            f'of {owner}, {files[owner]}: captions of one count as wrong for the other'
        )


class Spellings:
    """Finds how names below a folder are spelled on disk, in any of Unicode's normal forms."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._others: dict[str, dict[str, str]] = {}

    def find(self, name: str) -> str:
        """Return the path of ``name`` as on disk; if nothing is there, as ``name`` spells it."""
        path = os.path.join(self.folder, name)
        if name.isascii() or os.path.exists(path):
            return path
        parent, last = os.path.split(name.rstrip(os.sep))
        above = self.find(parent) if parent else self.folder
        if above not in self._others:
            self._others[above] = _list_spellings(above)
        return os.path.join(above, self._others[above].get(normalise(last), last))


def _list_spellings(folder: str) -> dict[str, str]:
    """Map normal form -> name on disk, for all names in a folder that are not ASCII."""
    try:
        names = sorted(os.listdir(folder or os.curdir))
    except OSError:  # not there: any spelling is as good
        return {}
    return {normalise(name): name for name in names if not name.isascii()}


def split_extension(name: str) -> tuple[str, str]:
    """Cut a name at its last point: 'a.b.MP4' -> ('a.b', 'MP4'), 'a.' -> ('a', '')."""
    stem, point, extension = name.rpartition('.')
    return (stem, extension) if point and os.sep not in extension else (name, '')


def _walk(folder: str) -> Iterator[str]:
    """Give all files below ``folder``, also through links, each folder once."""
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
    """List the files and the folders in ``folder``; both are empty where it does not exist."""
    files: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(folder or os.curdir) as entries:
            for entry in entries:
                (folders if entry.is_dir() else files).append(os.path.join(folder, entry.name))
    except (FileNotFoundError, NotADirectoryError):
        pass
    return files, folders
