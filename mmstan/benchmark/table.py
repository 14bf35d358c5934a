"""The table of ``tools/benchmark.py``: rows from what is stored, csv, markdown, picture."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mmstan.visualization import TradeOff, draw_trade_off
from mmstan.wording import markdown_table

KINDS = {'recognition': 'top-1', 'retrieval': 'R@1'}
"""Kinds of models and the figure that they are judged by on Moving Shapes."""
_HEAD = [
    'system',
    'frames',
    'GMACs',
    'parameters',
    'trained',
    'forward',
    'step',
    'clips/s',
    'memory',
    'rate',
]


@dataclass(frozen=True)
class Row:
    """One system; None is what has not been measured.

    Attributes:
        system: The config below ``configs``, without its suffix.
        kind: A key of ``KINDS``.
        tower: open_clip's name of the image tower.
        machine: Name of what all was measured on, with the settings.
        frames: Of a view, that the tower sees.
        gmacs: Nominal multiply-adds of a view, in 1e9.
        parameters: Of the model, in millions.
        trained: Those that are trained, in millions.
        rounds: Processes that the medians are of.
        forward: Time of a view over CLIP mean pooling's.
        step: Time of a training step over CLIP mean pooling's.
        throughput: Views a second.
        trained_clips: Clips a second in training.
        memory: GB of a training step beyond what is held.
        share: Multiply-adds a second over those of a plain matrix product.
        score: Per cent on Moving Shapes, the mean over seeds.
        deviation: Of a sample over seeds.
        seeds: Their number.
    """

    system: str
    kind: str
    tower: str
    machine: str
    frames: int = 0
    gmacs: float | None = None
    parameters: float | None = None
    trained: float | None = None
    rounds: int = 0
    forward: float | None = None
    step: float | None = None
    throughput: float | None = None
    trained_clips: float | None = None
    memory: float | None = None
    share: float | None = None
    score: float | None = None
    deviation: float | None = None
    seeds: int = 0


Rounds = Mapping[int, Mapping[str, float]]
"""What was measured in each round."""


def summarise_costs(rounds: Rounds, mean: Rounds, clips: int) -> dict[str, float | int | None]:
    """Fields of a :class:`Row`.

    Args:
        rounds: Of the system.
        mean: Of CLIP mean pooling; a ratio is that of the same round.
        clips: Of a batch.
    """
    if not rounds:
        return {}
    middle = {
        key: statistics.median(figures[key] for figures in rounds.values())
        for key in next(iter(rounds.values()))
    }
    shared = sorted(rounds.keys() & mean.keys())
    ratios = {
        key: statistics.median(rounds[i][key] / mean[i][key] for i in shared) if shared else None
        for key in ('forward', 'step')
    }
    return dict(
        gmacs=middle['gmacs'],
        parameters=middle['parameters'] / 1e6,
        trained=middle['trained'] / 1e6,
        rounds=len(rounds),
        **ratios,
        throughput=clips / middle['forward'],
        trained_clips=clips / middle['step'],
        memory=middle['memory'] / 1e9,
        share=middle['share'],
    )


def summarise_scores(scores: Sequence[float]) -> dict[str, float | int | None]:
    """Fields of a :class:`Row`: mean and deviation of a score over seeds."""
    if not scores:
        return {}
    deviation = statistics.stdev(scores) if len(scores) > 1 else None
    return dict(score=statistics.mean(scores), deviation=deviation, seeds=len(scores))


def write_csv(rows: Iterable[Row], path: Path) -> None:
    """One line a row."""
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator='\n')
        writer.writeheader()
        for row in rows:
            cells = asdict(row).items()
            writer.writerow({k: f'{v:.6g}' if isinstance(v, float) else v for k, v in cells})


def read_csv(path: Path) -> list[Row]:
    """What :func:`write_csv` wrote."""
    kinds = {field.name: str(field.type) for field in fields(Row)}
    with path.open(newline='') as file:
        return [
            Row(**{key: _read(text, kinds[key]) for key, text in line.items()})
            for line in csv.DictReader(file)
        ]


def _read(text: str, kind: str) -> Any:
    if kind == 'str':
        return text
    if kind == 'int':
        return int(text)
    return float(text) if text else None


def format_rows(rows: Sequence[Row]) -> str:
    """A table for each kind of model and tower; dearest last."""
    return '\n\n'.join(f'{_title(group)}\n\n{_table(group)}' for group in group_rows(rows))


def group_rows(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of one kind and tower together, those with more multiply-adds behind."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.kind, row.tower), []).append(row)
    return [sorted(group, key=lambda row: row.gmacs or 0) for group in found.values()]


def _title(rows: Sequence[Row]) -> str:
    """What the rows have in common, and what their medians and means are of."""
    parts = [rows[0].kind, rows[0].tower]
    for what, counts in (('round', [r.rounds for r in rows]), ('seed', [r.seeds for r in rows])):
        counts = sorted({count for count in counts if count})
        if counts:
            span = ' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))
            parts.append(f'{span} {what}{"" if counts[-1] == 1 else "s"}')
    return ', '.join(parts)


def _table(rows: Sequence[Row]) -> str:
    head = [*_HEAD, KINDS[rows[0].kind]]
    lines = []
    for row in rows:
        cells = [
            f'`{row.system}`',
            str(row.frames),
            _cell(row.gmacs, '.1f'),
            _cell(row.parameters, '.1f', ' M'),
            _cell(row.trained, '.1f', ' M'),
            _cell(row.forward, '.2f', ' x'),
            _cell(row.step, '.2f', ' x'),
            _cell(row.throughput, '.2f'),
            _cell(row.memory, '.2f', ' GB'),
            _cell(row.share and 100 * row.share, '.0f', ' %'),
            _score(row, most=max(other.seeds for other in rows)),
        ]
        lines.append(cells)
    return markdown_table(head, lines, align='l' + 'r' * (len(head) - 1))


def _score(row: Row, *, most: int) -> str:
    """The score, how far seeds differ, and their number where that is not that of all."""
    deviation = '' if row.deviation is None else f' ± {row.deviation:.1f}'
    return _cell(row.score, '.1f') + deviation + (f' ({row.seeds})' if 0 < row.seeds < most else '')


def _cell(figure: float | None, form: str, unit: str = '') -> str:
    return '-' if figure is None else f'{figure:{form}}{unit}'


def write(rows: Sequence[Row], folder: Path) -> str:
    """Leave ``systems.{csv,md,png}`` in ``folder``; the markdown.

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
