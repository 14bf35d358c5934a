"""Labels and folder names -> class names, which the text tower reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmstan.datasets.annotation_files import normalise
from mmstan.models.heads.class_names import read_class_names
from mmstan.wording import name_a_few, show

_NUMBERED = re.compile(r'\d+[\s._-]+(\S.*)')


@dataclass(frozen=True)
class ClassNames:
    """Classes in the order of their label numbers.

    Attributes:
        names: Words of each class.
        numbers: Label (folder name) -> its number, an index of ``names``.
        notes: Sentences for the report.
    """

    names: list[str]
    numbers: Mapping[str, int]
    notes: list[str]


def to_words(name: str) -> str:
    """A name as words: underscores and changes from small to large letters become blanks.

    >>> to_words('brush_hair'), to_words('BrushHair'), to_words('high-five'), to_words('USA')
    ('brush hair', 'brush hair', 'high-five', 'USA')
    """
    if '_' in name or any(letter.isspace() for letter in name):
        return ' '.join(name.replace('_', ' ').split())
    pairs = zip(' ' + name, name)
    words = ''.join(f' {b}' if b.isupper() and a.islower() else b for a, b in pairs)
    return words.lower() if ' ' in words else words


def name_classes(labels: Sequence[str], *, keep: bool = False) -> ClassNames:
    """The classes of the labels that there are, sorted by name; numbers are sorted as numbers.

    Args:
        labels: Labels or folder names, each once.
        keep: Leave them as they are, instead of making words of them.

    Raises:
        ValueError: Two become the same words, or one is no class name.
    """
    numeric = all(label.isdecimal() for label in labels)
    labels = sorted(labels)
    words = list(labels) if keep else [to_words(label) for label in _drop_numbers(labels)]
    _check_distinct(labels, words)
    pairs = sorted(zip(words, labels), key=lambda pair: (int(pair[0]) if numeric else 0, *pair))
    names, labels = [name for name, _ in pairs], [label for _, label in pairs]
    notes = []
    if numeric:
        notes.append(
            'the labels are numbers, which the text tower reads as names; give the names in the '
            'order of the numbers with --classes names.txt'
        )
    changed = [f'{label} -> {name}' for label, name in zip(labels, names) if label != name]
    if changed:
        notes.append(
            f'names that became words (--keep-names leaves them as they are): '
            f'{name_a_few(changed, most=1000)}'
        )
    names = read_class_names(names)  # refuses what a head would refuse
    return ClassNames(names, {label: i for i, label in enumerate(labels)}, notes)


def match_classes(labels: Sequence[str], path: Path, *, keep: bool = False) -> ClassNames:
    """The classes that a file names, in its order.

    Args:
        labels: Labels or folder names, each once. A label belongs to the name that is equal to it,
            or to its words. If the labels are 0 to K - 1 and no names, they number the names.
        path: A file of class names, for :func:`read_class_names`.
        keep: Leave the names as they are, instead of making words of them.

    Raises:
        ValueError: No label has a class of the file, numbers begin at 1, or two names become the
            same words.
        FileNotFoundError: There is no such file.
    """
    given = [normalise(name) for name in read_class_names(str(path))]
    names = given if keep else [to_words(name) for name in given]
    _check_distinct(given, names)
    numbers = {name: i for found in (names, given) for i, name in enumerate(found)}
    numbered = {label: int(label) for label in labels if label.isdecimal()}
    are_numbers = len(numbered) == len(labels) and not any(label in numbers for label in labels)
    if are_numbers and min(numbered.values()) == 1 and max(numbered.values()) == len(given):
        raise ValueError(
            f'--classes {path}: the numbers of the videos begin at 1, and {show(given[0])} is '
            'class 0; count them from 0'
        )
    if are_numbers and max(numbered.values()) < len(given):
        return ClassNames(names, numbered, [f'labels are numbers of the names in {path.name}'])
    found = {label: numbers.get(label, numbers.get(to_words(label))) for label in labels}
    known = {label: number for label, number in found.items() if number is not None}
    if not known:
        raise ValueError(
            f'--classes {path}: none of its names ({name_a_few(map(show, given), 3)}) is a class '
            f'of the videos ({name_a_few(map(show, labels), 3)}); write the names of the folders '
            'or labels, one a line'
        )
    unknown = [label for label in labels if label not in known]
    notes = [f'classes that {path.name} does not name: {name_a_few(unknown)}'] if unknown else []
    return ClassNames(names, known, notes)


def _drop_numbers(labels: Sequence[str]) -> Sequence[str]:
    """'001.run', '002.walk' -> 'run', 'walk', where every label has a number of its own."""
    matches = [_NUMBERED.fullmatch(label) for label in labels]
    rests = [match[1] for match in matches if match]
    return rests if len({*rests}) == len(labels) else labels


def _check_distinct(labels: Sequence[str], names: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for label, name in zip(labels, names):
        if name in first:
            raise ValueError(
                f'{show(first[name])} and {show(label)} both become the class {show(name)}; rename '
                'or join them, or keep them apart with --keep-names'
            )
        first[name] = label
