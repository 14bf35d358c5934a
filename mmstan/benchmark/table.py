"""The table of ``tools/benchmark.py``: its rows, and their csv, markdown and picture."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mmstan.visualization import TradeOff, draw_trade_off
from mmstan.wording import count_things, markdown_table

KINDS = {'recognition': 'top-1', 'retrieval': 'R@1', 'detection': 'mAP'}
"""Kind of a model -> name of its score on Moving Shapes."""
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
    """One system of the table; a figure that has not been measured is None.

    Attributes:
        system: The config below ``configs``, without its suffix.
        kind: A key of ``KINDS``.
        tower: open_clip's name of the image tower.
        machine: Name of the machine, with the settings.
        frames: Number of a view's frames that pass through the tower.
        gmacs: Nominal multiply-adds of a view, in 1e9.
        parameters: Parameters of the model, in millions.
        trained: Trained parameters, in millions.
        rounds: Number of processes behind each median.
        forward: Time of a view, divided by CLIP mean pooling's.
        step: Time of a training step, divided by CLIP mean pooling's.
        throughput: Views a second.
        trained_clips: Clips a second in training.
        memory: Additional memory of a training step, in GB.
        share: Multiply-adds a second, divided by a plain matrix product's.
        score: Per cent on Moving Shapes, mean over seeds.
        deviation: Sample deviation of the score over seeds.
        seeds: Number of seeds.
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
"""Round -> name of a figure -> its value."""


def summarise_costs(rounds: Rounds, mean: Rounds, clips: int) -> dict[str, float | int | None]:
    """Cost fields of a :class:`Row`: medians over rounds.

    Args:
        rounds: Figures of the system.
        mean: Figures of CLIP mean pooling; ratios are taken within a round.
        clips: Clips in a batch.
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
    """Score fields of a :class:`Row`: mean and deviation over seeds."""
    if not scores:
        return {}
    deviation = statistics.stdev(scores) if len(scores) > 1 else None
    return dict(score=statistics.mean(scores), deviation=deviation, seeds=len(scores))


def write_csv(rows: Iterable[Row], path: Path) -> None:
    """Write a csv with one line per row."""
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator='\n')
        writer.writeheader()
        for row in rows:
            cells = asdict(row).items()
            writer.writerow({k: f'{v:.6g}' if isinstance(v, float) else v for k, v in cells})


def read_csv(path: Path) -> list[Row]:
    """Read the rows that :func:`write_csv` wrote."""
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
    """Markdown: a table for each kind of model and tower, the most multiply-adds last."""
    return '\n\n'.join(f'{_title(group)}\n\n{_table(group)}' for group in group_rows(rows))


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
    """Score and deviation; also the number of seeds if other rows have more."""
    deviation = '' if row.deviation is None else f' ± {row.deviation:.1f}'
    return _cell(row.score, '.1f') + deviation + (f' ({row.seeds})' if 0 < row.seeds < most else '')


def _cell(figure: float | None, form: str, unit: str = '') -> str:
    return '-' if figure is None else f'{figure:{form}}{unit}'


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
