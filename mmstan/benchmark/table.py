"""The table of ``tools/benchmark.py``: its columns, its markdown and its picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmstan.benchmark.rows import Row, write_csv
from mmstan.visualization import TradeOff, draw_trade_off
from mmstan.wording import count_things, markdown_table

KINDS = {'recognition': 'top-1', 'retrieval': 'R@1', 'detection': 'mAP'}
"""Kind of a model -> name of its score on Moving Shapes."""


class Column(NamedTuple):
    """A column of figures of the table, from a field of :class:`Row`."""

    head: str
    field: str
    form: str = '.2f'
    unit: str = ''
    factor: float = 1
    optional: bool = False  # shown only where a row has the figure


_COLUMNS = (
    Column('frames', 'frames', 'd'),
    Column('GMACs', 'gmacs', '.1f'),
    Column('parameters', 'parameters', '.1f', ' M'),
    Column('trained', 'trained', '.1f', ' M'),
    Column('forward', 'forward', unit=' x'),
    Column('step', 'step', unit=' x'),
    Column('iteration', 'iteration', unit=' x', optional=True),
    Column('bf16', 'bf16', unit=' x', optional=True),
    Column('compiled', 'compiled', unit=' x', optional=True),
    Column('bf16, compiled', 'bf16_compiled', unit=' x', optional=True),
    Column('forward, bf16', 'forward_bf16', unit=' x', optional=True),
    Column('agreement', 'agreement', '.5f', optional=True),
    Column('clips/s', 'throughput'),
    Column('memory', 'memory', unit=' GB'),
    Column('rate', 'share', '.0f', ' %', factor=100),
    Column('rate, iteration', 'utilisation', '.0f', ' %', factor=100, optional=True),
    Column('peak', 'peak', '.1f', ' GB', optional=True),
    Column('largest batch', 'largest_batch', '.0f', optional=True),
)


def format_rows(rows: Sequence[Row]) -> str:
    """Markdown: a table for each kind of model and tower, the most multiply-adds last."""
    columns = _choose_columns(rows)
    return '\n\n'.join(f'{_title(group)}\n\n{_table(group, columns)}' for group in group_rows(rows))


def group_rows(rows: Sequence[Row]) -> list[list[Row]]:
    """Group the rows by kind and tower; each group is sorted by multiply-adds, the fewest first."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.kind, row.tower), []).append(row)
    return [sorted(group, key=lambda row: row.gmacs or 0) for group in found.values()]


def _title(rows: Sequence[Row]) -> str:
    """Heading of a table: kind, tower, numbers of rounds and seeds."""
    parts = [rows[0].kind, rows[0].tower]
    for thing, counts in (('round', [r.rounds for r in rows]), ('seed', [r.seeds for r in rows])):
        counts = sorted({count for count in counts if count})
        if counts:
            fewest = f'{counts[0]} to ' if len(counts) > 1 else ''
            parts.append(fewest + count_things(counts[-1], thing))
    return ', '.join(parts)


def _table(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    head = ['system', *(column.head for column in columns), KINDS[rows[0].kind]]
    most = max(row.seeds for row in rows)
    lines = [
        [f'`{row.system}`', *(_cell(row, column) for column in columns), _score(row, most=most)]
        for row in rows
    ]
    return markdown_table(head, lines, align='l' + 'r' * (len(head) - 1))


def _choose_columns(rows: Sequence[Row]) -> list[Column]:
    return [
        column
        for column in _COLUMNS
        if not column.optional or any(getattr(row, column.field) is not None for row in rows)
    ]


def _score(row: Row, *, most: int) -> str:
    """Score and deviation; also the number of seeds if other rows have more."""
    if row.score is None:
        return '-'
    deviation = '' if row.deviation is None else f' ± {row.deviation:.1f}'
    return f'{row.score:.1f}{deviation}' + (f' ({row.seeds})' if 0 < row.seeds < most else '')


def _cell(row: Row, column: Column) -> str:
    figure = getattr(row, column.field)
    return '-' if figure is None else f'{column.factor * figure:{column.form}}{column.unit}'


def write(rows: Sequence[Row], folder: Path) -> str:
    """Write ``systems.{csv,md,png}`` into ``folder``; returns the markdown.

    Raises:
        ValueError: The rows are of different machines or settings.
    """
    machines = sorted({row.machine for row in rows})
    if len(machines) != 1:
        raise ValueError(f'machine={machines}: a table is of one machine with the same settings')
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(rows, folder / 'systems.csv')
    text = f'{machines[0]}\n\n{format_rows(rows)}\n'
    (folder / 'systems.md').write_text(text)
    panels = [
        TradeOff(
            f'{group[0].kind}, {group[0].tower}',
            [
                (row.system, row.gmacs, row.score)
                for row in group
                if row.gmacs is not None and row.score is not None
            ],
            KINDS[group[0].kind],
        )
        for group in group_rows(rows)
    ]
    (folder / 'systems.png').unlink(missing_ok=True)
    if panels := [panel for panel in panels if panel.points]:
        draw_trade_off(folder / 'systems.png', panels)
    return text
