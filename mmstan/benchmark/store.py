"""What ``tools/benchmark.py`` has measured already, and the rows that are made of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmstan.benchmark.cost import Settings
from mmstan.benchmark.learning import CONFIGS, scores
from mmstan.benchmark.table import Row, cost_figures, score_figures
from mmstan.benchmark.view import size_of_view
from mmstan.config.narrow import backbone_class
from mmstan.config.paths import default_work_dir
from mmstan.config.sources import own_sources


@dataclass(frozen=True)
class Job:
    """A config that is measured, and how."""

    config: str
    settings: Settings

    @property
    def name(self) -> str:
        """The config below ``configs``, without its suffix."""
        return str(Path(default_work_dir(self.config)).relative_to('work_dirs'))


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
    made_from = digest(job.config)
    return dict(config=job.name, made_from=made_from, settings=asdict(job.settings))


def digest(config: str) -> str:
    """Of a config and of the user's modules that it imports."""
    cfg = Config.fromfile(config)
    text = ''.join([repr(cfg.to_dict()), *own_sources(cfg)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def kind_and_tower(config: str) -> tuple[str, str]:
    """``'recognition'`` or ``'retrieval'``, and the image tower's name."""
    model = Config.fromfile(config).model
    backbone = model.get('backbone') or {}
    tower = backbone.get('tower', {})
    name = tower.get('model', tower.get('type', backbone.get('type')))
    kind = 'recognition' if 'cls_head' in model else 'retrieval'
    return kind, name if isinstance(name, str) else 'explicit sizes'


@cache
def mean_pooling() -> dict[tuple[str, str], str]:
    """CLIP mean pooling's config for each kind of model and tower."""
    paths = sorted(map(str, (CONFIGS / 'baselines/clip_mean').glob('*.py')), reverse=True)
    return {kind_and_tower(path): path for path in paths}  # k400 takes the place of ssv2


@cache
def view_of_tower(job: Job) -> tuple[int, int]:
    """Frames of a view that the tower sees, and their pixels of a side."""
    cfg, settings = Config.fromfile(job.config), job.settings
    frames, size = size_of_view(cfg, frames=settings.frames, size=settings.size)
    return backbone_class(cfg.model).tower_frames(cfg.model.get('backbone') or {}, frames), size


def reference(job: Job) -> Job | None:
    """CLIP mean pooling of the job's tower on as many frames of the same size, if there is one."""
    config = mean_pooling().get(kind_and_tower(job.config))
    if config is None:
        return None
    mean, (frames, size) = replace(job, config=config), view_of_tower(job)
    if view_of_tower(mean) == (frames, size):
        return mean
    return replace(mean, settings=replace(job.settings, frames=frames, size=size))


def with_references(configs: Sequence[str], settings: Settings) -> list[Job]:
    """The configs, with CLIP mean pooling of their towers before them, and none twice.

    Raises:
        ValueError: Two files have the same name.
    """
    jobs = [Job(config, settings) for config in configs]
    means = [mean for mean in map(reference, jobs) if mean is not None]
    found: dict[tuple[str, Settings], Job] = {}
    for job in [*means, *jobs]:
        first = found.setdefault((job.name, job.settings), job)
        if Path(first.config).resolve() != Path(job.config).resolve():
            raise ValueError(
                f"{first.config} and {job.config} are both '{job.name}' in the table; rename one, "
                'or put it in a folder below configs'
            )
    return list(found.values())


def rows_of(
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
        mean = reference(job)
        fields: dict[str, Any] = cost_figures(
            costs.rounds(job), costs.rounds(mean) if mean else {}, job.settings.clips
        )
        fields |= score_figures(_scores(job.config, seeds, folder))
        frames = view_of_tower(job)[0]
        rows.append(Row(job.name, *kind_and_tower(job.config), machine, frames=frames, **fields))
    return rows


def _scores(config: str, seeds: list[int], folder: Path) -> list[float]:
    try:
        return scores(config, seeds, folder)
    except ValueError:  # it has no toy form
        return []
