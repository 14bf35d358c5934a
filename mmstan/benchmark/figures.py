"""A csv file of figures, each with machine and command, and the tables that are made of it."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from mmstan.wording import markdown_table

COLUMNS = ('table', 'row', 'figure', 'value', 'unit', 'machine', 'command')
Figure = tuple[str, str, float, str]
"""Row of a table, name of the figure, value, unit."""


def write_figures(
    path: Path, table: str, figures: Iterable[Figure], *, machine: str, command: str
) -> None:
    """Put figures of a table into the file, in the place of the ones with the same names."""
    known = read_figures(path)
    for row, name, value, unit in figures:
        known[table, row, name] = [f'{value:.4g}', unit, machine, command]
    with open(path, 'w', newline='', encoding='utf-8') as file:
        csv.writer(file).writerows([COLUMNS, *([*key, *rest] for key, rest in known.items())])


def read_figures(path: Path) -> dict[tuple[str, str, str], list[str]]:
    """(table, row, figure) -> value, unit, machine, command; nothing without a file."""
    if not path.exists():
        return {}
    with open(path, newline='', encoding='utf-8') as file:
        return {(a, b, c): rest for a, b, c, *rest in list(csv.reader(file))[1:]}


def format_figures(path: Path, table: str) -> str:
    """Markdown: a line for each row of a table, then machines and commands."""
    known = {key[1:]: rest for key, rest in read_figures(path).items() if key[0] == table}
    names = dict.fromkeys(name for _, name in known)
    units = {name: rest[1] for (_, name), rest in known.items()}
    rows = [
        [row, *(known.get((row, name), ['-'])[0] for name in names)]
        for row in dict.fromkeys(row for row, _ in known)
    ]
    heads = [f'{name} ({units[name]})' for name in names]
    made = dict.fromkeys((rest[2], rest[3]) for rest in known.values())
    notes = '\n'.join(f'{machine}: `{command}`' for machine, command in made)
    return f'{markdown_table(["", *heads], rows, align="l" + "r" * len(heads))}\n\n{notes}'
