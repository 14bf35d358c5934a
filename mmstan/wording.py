"""Words for messages and tables: a few names of many, choices, counts, rows of markdown."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any, get_args


def name_a_few(names: Iterable[Any], most: int = 5) -> str:
    """List the first names, and count the others.

    >>> name_a_few('abc'), name_a_few('abcd', most=2)
    ('a, b, c', 'a, b, and 2 more')
    """
    every = [str(name) for name in names]
    more = f', and {len(every) - most} more' if len(every) > most else ''
    return ', '.join(every[:most]) + more


def count_things(count: int, thing: str) -> str:
    """Write a number and its noun.

    >>> count_things(1, 'thread'), count_things(2, 'thread')
    ('1 thread', '2 threads')
    """
    return f'{count} {thing}{"" if count == 1 else "s"}'


def split_numbers(text: str) -> list[str | int]:
    """A sort key that puts ``frame2`` before ``frame10``: texts and numbers in turn."""
    return [int(part) if part.isdecimal() else part for part in re.split(r'(\d+)', text)]


def write_on_one_line(message: Any, most: int = 200) -> str:
    r"""Write the message of an error on one line, cut after ``most`` characters.

    >>> write_on_one_line('expected 3\n  found 4')
    'expected 3 found 4'
    """
    return ' '.join(str(message).split())[:most]


def check_choice(name: str, value: Any, allowed: Any, *, optional: bool = False) -> None:
    """Raise unless an argument has one of its allowed values.

    Args:
        name: Name of the argument.
        value: Value of the argument.
        allowed: The choices: a sequence, or a ``Literal``.
        optional: Whether None is allowed too.

    Raises:
        ValueError: ``value`` is not one of the choices.
    """
    choices = get_args(allowed) or tuple(allowed)
    if value in choices or (optional and value is None):
        return
    listed = ', '.join(map(repr, (*choices, None) if optional else choices))
    raise ValueError(f'{name}={value!r} must be one of {listed}')


def markdown_row(cells: Iterable[Any]) -> str:
    """Write one row of a markdown table.

    >>> markdown_row(['a', 1])
    '| a | 1 |'
    """
    return f'| {" | ".join(map(str, cells))} |'


def markdown_table(head: Sequence[Any], rows: Iterable[Iterable[Any]], *, align: str = '') -> str:
    """Write a markdown table.

    Args:
        head: Titles of the columns.
        rows: Cells, row by row.
        align: A letter a column: ``'l'``, or ``'r'`` for numbers; all ``'l'`` by default.
    """
    marks = {'l': '---', 'r': '---:'}
    rule = ''.join(f'|{marks[letter]}' for letter in align or 'l' * len(head)) + '|'
    return '\n'.join([markdown_row(head), rule, *map(markdown_row, rows)])


class _Short(reprlib.Repr):
    """Shortens a value to one line, for an error message."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring, self.maxother, self.maxlevel = 100, 60, 2


show = _Short().repr
"""``repr`` of a value, shortened to fit a message."""
