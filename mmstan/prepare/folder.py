"""Reading a folder: a folder a class, or train/ val/ test/ with a folder a class in each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmstan.datasets.annotation_files import normalise
from mmstan.datasets.readers.choose import find_container
from mmstan.datasets.video_files import VIDEO_EXTENSIONS, split_extension
from mmstan.datasets.visible_files import Passed, is_folder, is_hidden, walk_visible
from mmstan.prepare.entries import Entry, LeftOut, Source, Split, find_split, name_below
from mmstan.wording import count_things, name_a_few

# Containers by which a file without a suffix counts as a video.
_CONTAINERS = frozenset(('mov', 'matroska', 'avi', 'mpegts', 'mpeg', 'flv', 'asf', 'ogg', 'mxf'))


def read_folder(path: str | Path) -> Source:
    """The videos below a folder and the classes of their folders.

    Class folders may have folders in them. Links are followed, hidden and system files passed over;
    videos that lie in no class folder are left out.

    Args:
        path: A folder of class folders, or of ``train``, ``val`` and ``test`` with these in them.

    Raises:
        ValueError: It has no class folder, no video in one, or folders of splits next to others.
        OSError: A folder cannot be read.
    """
    root = os.path.abspath(path)
    source, seen = Source(str(path), root), _Passed()
    for split, name in _find_splits(root, str(path)):
        folder = os.path.join(root, name)
        for label in _list_folders(folder):
            found = [*_find_videos(os.path.join(folder, label), (root, folder), seen, source)]
            if not found:
                source.notes.append(
                    f'the folder {os.path.join(name, label)} has no video and makes no class'
                )
            for video in found:
                below = name_below(video, root)
                source.entries.append(Entry(video, below, normalise(label), split=split))
        _leave_out_loose(folder, seen, source)
    source.notes += seen.describe()
    source.left_out += [
        LeftOut(name_below(closed, root), f'is a folder that cannot be read ({reason})')
        for closed, reason in seen.closed.items()
    ]
    if not source.entries:
        raise ValueError(_explain_empty(str(path), source))
    return source


@dataclass
class _Passed(Passed):
    """Also counts files that are no videos."""

    others: Counter[str] = field(default_factory=Counter)

    def describe(self) -> list[str]:
        """A sentence a kind."""
        found = []
        for counts, kind in (
            (Counter(map(_kind, self.hidden)), 'hidden and system files, passed over'),
            (self.others, 'files that are no videos, passed over'),
        ):
            if counts:
                named = name_a_few(f'{count} x {name}' for name, count in sorted(counts.items()))
                found.append(f'{kind}: {sum(counts.values())} ({named})')
        if links := [os.path.basename(path) for path in self.loops]:
            found.append(f'links to a folder above them, not followed: {name_a_few(links)}')
        return found


def _find_splits(root: str, given: str) -> Sequence[tuple[Split | None, str]]:
    """The folders that hold class folders, with their splits; '' is the folder itself."""
    names = _list_folders(root)
    splits: dict[Split, str] = {}
    for name in names:
        split = find_split(name)
        if split is None:
            continue
        if split in splits:
            raise ValueError(
                f'{given}: {splits[split]}/ and {name}/ are both the split {split!r}; leave one'
            )
        splits[split] = name
    others = [name for name in names if find_split(name) is None]
    if not others and {*splits} == {'val', 'test'}:
        raise ValueError(
            f'{given} has {" and ".join(f"{name}/" for name in splits.values())} and no folder for '
            'training; put one next to them'
        )
    if 'train' not in splits or (others and len(splits) == 1):
        return [(None, '')]  # 'train' is a class here, as 'bus' next to it
    if others:
        raise ValueError(
            f'{given} has {name_a_few(f"{name}/" for name in splits.values())} and next to them '
            f'{name_a_few(f"{name}/" for name in others)}: put class folders into each split, or '
            'have class folders alone'
        )
    if len(splits) == 1:
        return [(None, splits['train'])]
    return list(splits.items())


def _list_folders(folder: str) -> list[str]:
    """Names of the folders in a folder, sorted, without hidden ones."""
    with os.scandir(folder) as items:
        return sorted(item.name for item in items if is_folder(item) and not is_hidden(item.name))


def _kind(name: str) -> str:
    """How files of this name are counted: by suffix, system files by name."""
    extension = split_extension(name.lstrip('.'))[1]
    if name.startswith('._'):
        return '._*'
    return name if is_hidden(name) else f'.{extension.lower()}' if extension else 'no suffix'


def _find_videos(
    folder: str, above: Sequence[str], passed: _Passed, source: Source
) -> Iterator[str]:
    for path in walk_visible(folder, passed, frozenset(map(os.path.realpath, above))):
        name = os.path.basename(path)
        extension = split_extension(name)[1].lower()
        if extension not in VIDEO_EXTENSIONS:
            passed.others[_kind(name)] += 1
        elif not os.path.isfile(path):
            link = 'is a link to nothing' if os.path.islink(path) else 'is no regular file'
            source.left_out.append(LeftOut(name_below(path, source.root), link))
        elif extension or find_container(path) in _CONTAINERS:
            yield path
        else:
            passed.others[_kind(name)] += 1


def _leave_out_loose(folder: str, passed: _Passed, source: Source) -> None:
    """Name the videos that lie next to the class folders."""
    with os.scandir(folder) as items:
        files = sorted((item for item in items if not is_folder(item)), key=lambda item: item.name)
    for item in files:
        if is_hidden(item.name):
            passed.hidden.append(item.name)
        elif split_extension(item.name)[1].lower() in VIDEO_EXTENSIONS - {''}:
            name = name_below(item.path, source.root)
            source.left_out.append(LeftOut(name, 'lies in no class folder'))
        else:
            passed.others[_kind(item.name)] += 1


def _explain_empty(given: str, source: Source) -> str:
    form = (
        'put the videos of each class into a folder of its name, or give a table with the columns '
        'path,label or path,caption'
    )
    loose = [out.name for out in source.left_out if out.reason == 'lies in no class folder']
    if loose:
        return (
            f'{given} has {count_things(len(loose), "video")} ({name_a_few(loose, 3)}) and no '
            f'class folder with videos: {form}'
        )
    return f'{given} has no class folder with videos: {form}'
