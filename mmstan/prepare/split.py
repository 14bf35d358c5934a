"""Dividing videos into training, validation and test."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from mmstan.prepare.entries import SPLITS, Entry, Split
from mmstan.wording import count_things, name_a_few

Shares = tuple[float, float, float]


def check_shares(values: Sequence[float]) -> Shares:
    """Shares of training, validation and test; without the third one there is no test.

    Raises:
        ValueError: They are not two or three, or do not add up to 1.
    """
    shares = (*values, 0.0) if len(values) == 2 else tuple(values)
    listed = ' '.join(f'{value:g}' for value in values)
    if len(shares) != 3 or min(shares) < 0 or 0 in shares[:2] or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(
            f'--split {listed}: give the shares of training, validation and, if wanted, test, '
            'which add up to 1, such as 0.8 0.1 0.1'
        )
    return shares[0], shares[1], shares[2]


def group_by_name(entries: Sequence[Entry], pattern: str) -> tuple[dict[Entry, str], int]:
    """The group of each video, and how many names do not fit and are groups of their own.

    Args:
        entries: The videos.
        pattern: A regular expression, searched in the name (path below the source's folder). Its
            groups, or without any the whole match, name the group.

    Raises:
        ValueError: It is no regular expression, or fits no name.
    """
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise ValueError(f'--group {pattern!r} is no regular expression: {error}') from error
    matches = {entry: search(entry.name) for entry in entries}
    unmatched = [entry.name for entry, match in matches.items() if match is None]
    if len(unmatched) == len(entries):
        raise ValueError(
            f'--group {pattern!r} fits none of {count_things(len(entries), "name")}, such as '
            f'{name_a_few(unmatched, 3)}'
        )
    groups = {
        entry: f'name {entry.name}' if match is None else f'group {match.groups() or match[0]}'
        for entry, match in matches.items()
    }
    return groups, len(unmatched)


def divide(
    entries: Sequence[Entry], groups: Mapping[Entry, Iterable[str]], shares: Shares, seed: int
) -> dict[Entry, Split]:
    """The split of each video: by class, the same for the same seed, groups whole.

    Each class gives validation its share of videos and at least one group, likewise test if it has
    three groups or more; training keeps at least one. Groups come in the order of a hash of the
    seed and their name, so that further videos leave the order of the others as it is.

    Args:
        entries: The videos. Those with captions are one class.
        groups: Names of groups, by video: videos that share a name stay together.
        shares: Of training, validation and test.
        seed: Another seed gives another choice.

    Raises:
        ValueError: Training or validation would be empty.
    """
    whole = _join_groups(entries, groups)
    whole.sort(key=lambda members: _draw(seed, min(entry.name for entry in members)))
    sizes = [Counter(entry.label for entry in members) for members in whole]
    free = {*range(len(whole))}
    free_of = Counter(label for counts in sizes for label in counts)  # groups that nobody took
    totals = Counter(entry.label for entry in entries)
    owners: dict[str | None, list[int]] = defaultdict(list)
    for i, counts in enumerate(sizes):
        for label in counts:
            owners[label].append(i)
    splits: dict[int, Split] = {}
    # Rare classes choose first: a group with several classes serves them all.
    for label in sorted(owners, key=lambda label: (len(owners[label]), label or '')):
        for split, share in zip(SPLITS[1:], shares[1:]):
            wanted = _count_wanted(totals[label], len(owners[label]), split, share)
            have = sum(sizes[i][label] for i in owners[label] if splits.get(i) == split)
            for i in owners[label]:
                if have >= wanted:
                    break
                # Training keeps a group of every class.
                if i in free and all(free_of[other] > 1 for other in sizes[i]):
                    splits[i] = split
                    free.remove(i)
                    free_of.subtract([*sizes[i]])
                    have += sizes[i][label]
    divided = {
        entry: splits.get(i, 'train') for i, members in enumerate(whole) for entry in members
    }
    if 'val' not in splits.values():
        raise ValueError(
            f'{count_things(len(entries), "video")} in {count_things(len(whole), "group")} that '
            'must stay together (--group, copies, parts of one video): nothing is left for '
            'validation; give more videos, or smaller groups'
        )
    return {entry: divided[entry] for entry in entries}


def _count_wanted(videos: int, groups: int, split: Split, share: float) -> int:
    """How many videos of a class a split is to get."""
    least = 1 if groups >= (2 if split == 'val' else 3) else 0
    return max(round(share * videos), least) if share else 0


def _draw(seed: int, name: str) -> str:
    return hashlib.sha256(f'{seed} {name}'.encode('utf-8', 'surrogateescape')).hexdigest()


def _join_groups(
    entries: Sequence[Entry], groups: Mapping[Entry, Iterable[str]]
) -> list[list[Entry]]:
    """Videos that share a group, or are linked by others that do, as one list each."""
    members: list[list[Entry] | None] = []
    of_name: dict[str, int] = {}
    for entry in entries:
        names = list(groups.get(entry, ()))
        linked = sorted({of_name[name] for name in names if name in of_name})
        place = linked[0] if linked else len(members)
        if not linked:
            members.append([])
        target = members[place]
        assert target is not None
        for other in linked[1:]:
            target += members[other] or []
            members[other] = None
            of_name.update({name: place for name, i in of_name.items() if i == other})
        target.append(entry)
        of_name.update(dict.fromkeys(names, place))
    return [group for group in members if group is not None]
