"""What ``tools/benchmark.py`` has measured already, and the rows that are made of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmstan.benchmark.jobs import Job, find_reference
from mmstan.benchmark.learning import read_scores
from mmstan.benchmark.table import Row, summarise_costs, summarise_scores


class Costs:
    """Costs by job and round: a file that only grows, so that several processes may write.

    What was measured of another state of a config, or of the user's modules that it imports, is
    not seen. Changes of mmstan's own code are not noticed: :meth:`forget`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def rounds(self, job: Job) -> dict[int, dict[str, float]]:
        """Figures of a job by round."""
        found: dict[int, dict[str, float]] = {}
        identity = _identity(job)
        for line in self._lines():
            if any(line.get(key) != value for key, value in identity.items()):
                continue
            if 'round' in line:
                found[line['round']] = line['figures']
            else:
                found.clear()
        return found

    def add(self, job: Job, index: int, figures: dict[str, float]) -> None:
        """Keep the figures of a round."""
        self._append({**_identity(job), 'round': index, 'figures': figures})

    def forget(self, job: Job) -> None:
        """What there is of a job no longer counts."""
        self._append(_identity(job))

    def _append(self, line: dict[str, Any]) -> None:
        text = self.path.read_text()
        with self.path.open('a') as file:
            file.write(('' if text.endswith('\n') or not text else '\n') + json.dumps(line) + '\n')

    def _lines(self) -> Iterator[dict[str, Any]]:
        for line in self.path.read_text().splitlines():
            try:
                yield json.loads(line)
            except ValueError:  # half a line of a process that was killed
                continue


def _identity(job: Job) -> dict[str, Any]:
    made_from = job.system.digest
    return dict(config=job.name, made_from=made_from, settings=asdict(job.settings))


def make_rows(
    jobs: Sequence[Job], costs: Costs, seeds: list[int], folder: Path, machine: str
) -> list[Row]:
    """Rows of what is there.

    Args:
        jobs: What is shown.
        costs: What was measured.
        seeds: Of the runs that count.
        folder: Where the runs are.
        machine: What all of it was measured on.
    """
    rows = []
    for job in jobs:
        mean = find_reference(job)
        fields: dict[str, Any] = summarise_costs(
            costs.rounds(job), costs.rounds(mean) if mean else {}, job.settings.clips
        )
        fields |= summarise_scores(_scores(job.config, seeds, folder))
        frames, system = job.view_of_tower[0], job.system
        rows.append(Row(job.name, system.kind, system.tower, machine, frames=frames, **fields))
    return rows


def _scores(config: str, seeds: list[int], folder: Path) -> list[float]:
    try:
        return read_scores(config, seeds, folder)
    except ValueError:  # it has no toy form
        return []
