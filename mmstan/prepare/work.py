"""Where the work stands, and whether enough is left of every class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from mmstan.prepare.check import Facts
from mmstan.prepare.class_names import ClassNames
from mmstan.prepare.entries import Entry, LeftOut, Source
from mmstan.wording import count_things, name_a_few


@dataclass
class Work:
    """Where the work stands: videos that are left, and notes for the report."""

    source: Source
    entries: list[Entry]
    left_out: list[LeftOut]
    facts: dict[str, Facts] = field(default_factory=dict)
    files: dict[Entry, str] = field(default_factory=dict)

    def leave_out(self, problems: dict[Entry, str]) -> None:
        """Take entries out, each for a reason."""
        self.left_out += [LeftOut(str(entry), reason) for entry, reason in problems.items()]
        self.entries = [entry for entry in self.entries if entry not in problems]


def check_counts(work: Work, classes: ClassNames | None) -> None:
    """Raise ValueError for a class with fewer than two videos, or if none is for training."""
    given = work.source.path
    if classes is None:
        if len(work.entries) < 2:
            raise ValueError(f'{given} has {count_videos(work.entries)} left; give two or more')
        if not any(entry.split in (None, 'train') for entry in work.entries):
            raise ValueError(
                f'{given} has no video for training that can be used (split train); give some, or '
                'leave the column split out'
            )
        return
    if len(classes.names) < 2:
        raise ValueError(
            f'{given} has one class, {classes.names[0]!r}; a classifier needs two or more'
        )
    counts = Counter(classes.numbers[entry.label or ''] for entry in work.entries)
    trained = {classes.numbers[e.label or ''] for e in work.entries if e.split in (None, 'train')}
    few = [i for i in range(len(classes.names)) if counts[i] < 2 or i not in trained]
    if few:
        named = name_a_few(
            f'{classes.names[i]!r} has {count_things(counts[i], "video")}'
            + ('' if i in trained or not counts[i] else ', none for training')
            for i in few
        )
        lost = name_a_few((f'{name}: {reason}' for name, reason in work.left_out), most=3)
        raise ValueError(
            f'{given}: {named}; each class needs 2 or more, to train and to validate: add videos, '
            'or leave the class out' + (f' (left out: {lost})' if lost else '')
        )


def count_videos(entries: Sequence[Entry]) -> str:
    """'1 video', '2 videos'."""
    return count_things(len(entries), 'video')
