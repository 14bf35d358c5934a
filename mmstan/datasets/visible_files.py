"""The files below a folder, without hidden ones and without those of a system."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

# Names that systems put into folders, in lower case; '.DS_Store' and '._clip.mp4' begin with a dot.
_SYSTEM = frozenset((
    'thumbs.db', 'ehthumbs.db', 'desktop.ini', 'icon\r', '__macosx', '@eadir', '$recycle.bin',
    'system volume information',
))  # fmt: skip


@dataclass
class Passed:
    """Everything that walks passed over.

    Attributes:
        hidden: Names of hidden and system files and folders.
        loops: Paths of links to a folder above them.
        closed: Paths of folders that cannot be read, and the reason.
    """

    hidden: list[str] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)
    closed: dict[str, str] = field(default_factory=dict)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or a system's own."""
    return name.startswith('.') or name.lower() in _SYSTEM


def walk_visible(folder: str, passed: Passed, above: frozenset[str] = frozenset()) -> Iterator[str]:
    """Paths of all files below a folder in the order of their names, through links.

    Args:
        folder: The folder.
        passed: Is told of everything that is passed over.
        above: Real paths of the folders above, to which no link is followed.
    """
    real = os.path.realpath(folder)
    if real in above:
        passed.loops.append(folder)
        return
    try:
        with os.scandir(folder) as items:
            entries = sorted(items, key=lambda item: item.name)
    except OSError as error:
        passed.closed[folder] = error.strerror or str(error)
        return
    for item in entries:
        if is_hidden(item.name):
            passed.hidden.append(item.name)
        elif is_folder(item):
            yield from walk_visible(item.path, passed, above | {real})
        else:
            yield item.path


def is_folder(item: os.DirEntry[str]) -> bool:
    """Whether this is a folder, or a link to one; of a link to itself the entry raises an error."""
    return os.path.isdir(item.path) if item.is_symlink() else item.is_dir()
