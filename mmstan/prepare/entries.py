"""Videos as their owner names them, before any of them is opened."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Split = Literal['train', 'val', 'test']
SPLITS: tuple[Split, ...] = ('train', 'val', 'test')
_SPELLINGS: dict[str, Split] = {
    **dict.fromkeys(('train', 'training'), 'train'),
    **dict.fromkeys(('val', 'valid', 'validation'), 'val'),
    **dict.fromkeys(('test', 'testing'), 'test'),
}  # type: ignore[arg-type]


def find_split(name: str) -> Split | None:
    """The split that people mean by ``name``; None where it is another word.

    >>> find_split('Validation'), find_split('running')
    ('val', None)
    """
    return _SPELLINGS.get(name.strip().lower())


_UNPRINTABLE = re.compile('[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')


def name_below(path: str, root: str) -> str:
    """A file's name in messages: relative to ``root``, with '/', and in printable letters.

    >>> name_below('/videos/run/a.mp4', '/videos')
    'run/a.mp4'
    """
    inside = path.startswith(os.path.join(root, ''))
    name = (os.path.relpath(path, root) if inside else path).replace(os.sep, '/')
    return _UNPRINTABLE.sub(lambda found: found[0].encode('unicode_escape').decode(), name)


@dataclass(frozen=True)
class Entry:
    """A video, or a part of one, and its label or captions.

    Attributes:
        path: The file.
        name: The path by :func:`name_below` the source's folder, for messages and groups.
        label: Folder or label of its class, in normal form C; None where it has captions.
        captions: The texts that describe it; none where it has a label.
        split: The split that the source puts it in, if it does.
        start: Where the part begins, in seconds.
        end: Where the part ends, in seconds; None is the end of the video.
        line: Line of the table.
    """

    path: str
    name: str
    label: str | None = None
    captions: tuple[str, ...] = ()
    split: Split | None = None
    start: float = 0.0
    end: float | None = None
    line: int | None = None

    @property
    def is_part(self) -> bool:
        """Whether it is less than the whole video."""
        return self.start > 0 or self.end is not None

    def __str__(self) -> str:
        place = f'line {self.line}: ' if self.line else ''
        until = '' if self.end is None else f'{self.end:g}'
        return f'{place}{self.name}' + (f' [{self.start:g}-{until} s]' if self.is_part else '')


class LeftOut(NamedTuple):
    """A video that comes into no list, and why."""

    name: str
    reason: str


@dataclass
class Source:
    """Everything that a folder or a table names.

    Attributes:
        path: The folder or table, as it was given.
        root: The folder that names are relative to, an absolute path.
        entries: Videos in the order of their names or lines.
        left_out: Videos that cannot be used, known without opening them.
        notes: Sentences for the report: files that were passed over, and so on.
    """

    path: str
    root: str
    entries: list[Entry] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def has_captions(self) -> bool:
        """Whether its videos have captions in the place of labels."""
        return any(entry.captions for entry in self.entries)
