"""The saved measurements of ``tools/benchmark.py``, and the table rows made from them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

from mmstan.benchmark.cost import Settings
from mmstan.benchmark.jobs import Job, find_reference
from mmstan.benchmark.learning import read_scores
from mmstan.benchmark.rows import Row, summarise_costs, summarise_scores, summarise_variants

_DEFAULTS = {x.name: x.default for x in fields(Settings) if x.default is not MISSING}


class Costs:
    """Costs by job and round, in a file that only grows, so that several processes may write.

    Figures of an earlier state of a config, or of the user's modules that it imports, are ignored.
    Changes in mmstan's own code are not noticed; call :meth:`forget` after them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def rounds(self, job: Job) -> dict[int, dict[str, float]]:
        """Round -> figures of a job."""
        found: dict[int, dict[str, float]] = {}
        identity = _identity(job)
        for line in self._lines():
            if any(line.get(key) != value for key, value in identity.items()):
                continue
            if 'round' in line:
                found[line['round']] = line['figures']
            else:  # a line that :meth:`forget` wrote: earlier figures no longer count
                found.clear()
        return found

    def add(self, job: Job, index: int, figures: dict[str, float]) -> None:
        """Append the figures of a round to the file."""
        self._append({**_identity(job), 'round': index, 'figures': figures})

    def forget(self, job: Job) -> None:
        """Ignore all earlier figures of a job from now on."""
        self._append(_identity(job))

    def _append(self, line: dict[str, Any]) -> None:
        # A killed process may have left half a line; start on a new one.
        text = self.path.read_text()
        with self.path.open('a') as file:
            file.write(('' if text.endswith('\n') or not text else '\n') + json.dumps(line) + '\n')

    def _lines(self) -> Iterator[dict[str, Any]]:
        for line in self.path.read_text().splitlines():
            try:
                found = json.loads(line)
            except ValueError:  # half a line of a process that was killed
                continue
            # A line may be older than some of the settings: it was measured with their defaults.
            yield dict(found, settings={**_DEFAULTS, **found.get('settings', {})})


def _identity(job: Job) -> dict[str, Any]:
    made_from = job.system.digest
    return dict(config=job.name, made_from=made_from, settings=asdict(job.settings))


def make_rows(
    jobs: Sequence[Job],
    costs: Costs,
    seeds: list[int],
    folder: Path,
    machine: str,
    *,
    beside: Sequence[str] = (),
) -> list[Row]:
    """Table rows of the jobs, from the saved measurements.

    Args:
        jobs: Systems to show.
        costs: The saved costs.
        seeds: Seeds of the training runs that count.
        folder: Folder of the training runs.
        machine: Name of the machine, with the settings.
        beside: Variants of the settings that the table compares with its own.
    """
    rows = []
    for job in jobs:
        mean = find_reference(job)
        fields: dict[str, Any] = summarise_costs(
            costs.rounds(job), costs.rounds(mean) if mean else {}, job.settings.clips
        )
        variants = {name: costs.rounds(job.vary(name)) for name in beside}
        fields |= summarise_variants(costs.rounds(job), variants)
        fields |= summarise_scores(_scores(job.config, seeds, folder))
        frames, system = job.view_of_tower[0], job.system
        rows.append(Row(job.name, system.kind, system.tower, machine, frames=frames, **fields))
    return rows


def _scores(config: str, seeds: list[int], folder: Path) -> list[float]:
    try:
        return read_scores(config, seeds, folder)
    except ValueError:  # it has no toy form
        return []
