"""Rows of the table of ``tools/benchmark.py``, from measured figures, and their csv file."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any


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
        forward: Time of a view, divided by CLIP mean pooling's. As all ratios of times, it is of
            times in plain matrix products, measured next to them.
        step: Time of a training step, divided by CLIP mean pooling's.
        throughput: Views a second.
        trained_clips: Clips a second in training steps.
        memory: Additional memory of a training step, in GB.
        share: Multiply-adds a second of a view, divided by a plain matrix product's.
        score: Per cent on Moving Shapes, mean over seeds.
        deviation: Sample deviation of the score over seeds.
        seeds: Number of seeds.
        iteration: Time of a training iteration (step, clipping, optimiser), divided by CLIP mean
            pooling's.
        iterated_clips: Clips a second in training iterations.
        bf16: The table's time of an iteration, divided by its time in bf16.
        compiled: The same for a compiled backbone.
        bf16_compiled: The same for both.
        forward_bf16: The table's time of a view, divided by its time in bf16.
        agreement: Least cosine of a clip's output in bf16 to its output in fp32.
        utilisation: Multiply-adds a second of an iteration, divided by a plain matrix product's.
        peak: Memory of a GPU in an iteration, weights and optimiser state included, in GB.
        largest_batch: Clips of the largest batch that fits on the GPU in an iteration.
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
    iteration: float | None = None
    iterated_clips: float | None = None
    bf16: float | None = None
    compiled: float | None = None
    bf16_compiled: float | None = None
    forward_bf16: float | None = None
    agreement: float | None = None
    utilisation: float | None = None
    peak: float | None = None
    largest_batch: float | None = None


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
        for key in set.intersection(*(set(figures) for figures in rounds.values()))
    }
    optional = dict(
        iterated_clips=clips / middle['iteration'] if 'iteration' in middle else None,
        peak=middle['peak'] / 1e9 if 'peak' in middle else None,
        **{key: middle.get(key) for key in ('agreement', 'utilisation', 'largest_batch')},
    )
    return dict(
        gmacs=middle['gmacs'],
        parameters=middle['parameters'] / 1e6,
        trained=middle['trained'] / 1e6,
        rounds=len(rounds),
        **{key: _divide(rounds, mean, key) for key in ('forward', 'step', 'iteration')},
        throughput=clips / middle['forward'],
        trained_clips=clips / middle['step'],
        memory=middle['memory'] / 1e9,
        share=middle['share'],
        **optional,
    )


def summarise_variants(
    rounds: Rounds, variants: Mapping[str, Rounds]
) -> dict[str, float | int | None]:
    """Fields of a :class:`Row` that compare the table's settings with others.

    Args:
        rounds: Figures of the system in the table's settings.
        variants: Name in ``VARIANTS`` -> figures of the system in that variant.
    """
    fields = {
        name.replace('-', '_'): _divide(rounds, others, 'iteration')
        for name, others in variants.items()
    }
    if 'bf16' not in variants:
        return fields
    half = variants['bf16']
    fields['forward_bf16'] = _divide(rounds, half, 'forward')
    found = [x['agreement'] for x in half.values() if 'agreement' in x]
    return fields | (dict(agreement=statistics.median(found)) if found else {})


def _divide(rounds: Rounds, others: Rounds, key: str) -> float | None:
    """Median of a time over that of others, taken within each round.

    Times are taken in plain products, which were measured next to them: what else the machine does
    at the moment counts less. Rounds from before these figures count where no other is there, in
    seconds.
    """
    pairs = [(rounds[i], others[i]) for i in sorted(rounds.keys() & others.keys())]
    for unit in (f'{key}_products', key):
        if ratios := [
            own[unit] / other[unit] for own, other in pairs if unit in own and unit in other
        ]:
            return statistics.median(ratios)
    return None


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
