"""Run the measurements and trainings that the benchmark's store lacks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from mmstan.benchmark.jobs import Job, read_system
from mmstan.benchmark.learning import plan_system, train
from mmstan.benchmark.own_process import find_last_error, run_own_process
from mmstan.benchmark.store import Costs


def measure_in_own_process(job: Job) -> dict[str, float]:
    """Call :func:`mmstan.benchmark.cost.measure` in a fresh process; returns its figures."""
    settings = json.dumps(asdict(job.settings))
    try:
        return run_own_process('-m', 'mmstan.benchmark.cost', job.config, settings)
    except ValueError as error:
        raise ValueError(f'{job.config}: {error}') from error


def measure_unchanged(job: Job) -> dict[str, float]:
    """Measure one config; refuse the figures if its files changed during the measurement."""
    before = job.system.digest
    figures = measure_in_own_process(job)
    if read_system(job.config).digest != before:
        raise ValueError(f'{job.config}: it, or a module of yours, changed while it was measured')
    return figures


def run_costs(costs: Costs, jobs: Sequence[Job], rounds: int) -> Iterator[str]:
    """Measure the missing rounds, all jobs of a round in turn; yields a line per failure."""
    for index in range(rounds):
        for number, job in enumerate(jobs, 1):
            if index in costs.rounds(job):
                continue
            print(
                f'round {index + 1}, {number} of {len(jobs)}: {job.name}, {job.settings.precision}'
                f'{", compiled" if job.settings.compiled else ""}',
                flush=True,
            )
            try:
                costs.add(job, index, measure_unchanged(job))
            except ValueError as error:
                print(f'    {error}', flush=True)
                yield str(error)


def run_training(configs: Sequence[str], seeds: list[int], folder: Path) -> Iterator[str]:
    """Train the missing runs, all configs of a seed in turn; yields a line per failure."""
    for seed in seeds:
        for config in configs:
            try:
                train(config, seed, folder)
            except (ValueError, SystemExit) as error:
                print(error, flush=True)
                yield f'{config}: {find_last_error(str(error))}'


def forget(
    costs: Costs, jobs: Sequence[Job], configs: Sequence[str], seeds: list[int], folder: Path
) -> None:
    """Delete the costs of ``jobs``, and the runs of ``configs`` and their towers."""
    for job in jobs:
        costs.forget(job)
    for config in configs:
        for seed in seeds:
            with suppress(ValueError):  # it has no toy form
                for plan in plan_system(config, seed, folder):
                    plan.forget()
