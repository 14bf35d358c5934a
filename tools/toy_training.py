"""Any config on Moving Shapes: the same small towers, data and budget for all.

What ``tools/benchmark.py --train moving_shapes`` runs. As the papers' towers come from CLIP, these
come from a toy of it with the same seed: frames, averaged, and texts; for retrieval on aligned
captions. From there each system learns to recognize motions, or to find videos that show their
caption's event in a third of their frames.
"""

from __future__ import annotations

import hashlib
import json
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from quickstart import (
    last_checkpoint,
    recognition_figures,
    retrieval_figures,
    train_and_test,
)

from mmstan.compat.checkpoints import load_file
from mmstan.datasets.moving_shapes import Task, generate
from mmstan.toy import towers_of, toy_run

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'


@dataclass(frozen=True)
class Kind:
    """What a kind of model learns.

    Attributes:
        mean: CLIP mean pooling's config.
        start: Data and schedule of the toy towers, below ``configs/quickstart``.
        system: Those of the systems.
        epochs: Budgets of both: 6,000 clips an epoch of recognition, 3,000 of retrieval.
        tasks: The data of both.
        score: The figure that counts, and the factor that makes it per cent.
    """

    mean: str
    start: str
    system: str
    epochs: tuple[int, int]
    tasks: tuple[Task, Task]
    score: tuple[str, float]


KINDS = {
    'Recognizer3D': Kind(
        mean='baselines/clip_mean/k400_b16.py',
        start='clip_mean.py',
        system='clip_mean.py',
        epochs=(6, 3),
        tasks=('recognition', 'recognition'),
        score=('top-1', 100.0),
    ),
    'mmstan.VideoTextModel': Kind(
        mean='baselines/clip_mean/msrvtt_b32.py',
        start='retrieval_stan.py',
        system='misaligned_stan.py',
        epochs=(8, 4),
        tasks=('retrieval', 'misaligned'),
        score=('t2v/R1', 1.0),
    ),
}
"""By ``model.type``."""


@dataclass(frozen=True)
class Plan:
    """A run and where it goes; equal models with equal budgets share one.

    Attributes:
        config: The toy's config.
        work_dir: Of this run.
        kind: What it learns.
        seed: Of all that is random.
        task: The data.
    """

    config: Config
    work_dir: Path
    kind: Kind
    seed: int
    task: Task

    def run(self) -> None:
        """Train and test, unless that is done already."""
        generate(size='small', tasks=[self.task])
        path = self.work_dir.with_suffix('.py')
        path.parent.mkdir(parents=True, exist_ok=True)
        self.config.dump(path)
        figures = recognition_figures if self.task == 'recognition' else retrieval_figures
        train_and_test(path, self.work_dir, '--seed', str(self.seed), figures=figures)

    @property
    def score(self) -> float | None:
        """Per cent, None where the run is not finished."""
        result, (key, factor) = self.work_dir / 'result.json', self.kind.score
        return factor * json.loads(result.read_text())[key] if result.exists() else None


def plan_system(config: str, seed: int, folder: Path) -> tuple[Plan, Plan]:
    """The run of the toy towers, and that of a system from there.

    Args:
        config: A recognition or retrieval config.
        seed: Of both.
        folder: Where they go.

    Raises:
        ValueError: The config has no toy form.
    """
    cfg = Config.fromfile(config)
    kind = KINDS.get(cfg.model.type)
    if kind is None:
        raise ValueError(f'{config}: model.type={cfg.model.type!r} is none of {list(KINDS)}')
    mean = Config.fromfile(CONFIGS / kind.mean)
    text_side = mean.model.get('text_tower') or mean.model.cls_head.text_tower
    for tower in (mean.model.backbone.tower, text_side):
        source = cfg.model.backbone.get('tower', {})
        tower.update({key: deepcopy(source.get(key)) for key in ('model', 'pretrained')})
    base = Config.fromfile(CONFIGS / 'quickstart' / kind.start)
    start = toy_run(mean, base, epochs=kind.epochs[0])
    towers = _plan(start, kind, seed, kind.tasks[0], folder / 'towers')
    weights = towers.work_dir / 'towers.pt'
    base = Config.fromfile(CONFIGS / 'quickstart' / kind.system)
    run = toy_run(cfg, base, pretrained=str(weights), epochs=kind.epochs[1])
    return towers, _plan(run, kind, seed, kind.tasks[1], folder / _safe(config))


def _plan(run: Config, kind: Kind, seed: int, task: Task, path: Path) -> Plan:
    digest = hashlib.sha256(repr(run.model).encode()).hexdigest()[:8]
    work_dir = path.with_name(f'{path.name}_{task}_{digest}_seed{seed}')
    return Plan(run, work_dir, kind, seed, task)


def train(config: str, seed: int, folder: Path) -> None:
    """Train and test the toy form of a config, unless that is done already."""
    towers, system = plan_system(config, seed, folder)
    weights = towers.work_dir / 'towers.pt'
    if not weights.exists():
        towers.run()
        torch.save(towers_of(load_file(last_checkpoint(towers.work_dir))['state_dict']), weights)
    system.run()


def scores(config: str, seeds: list[int], folder: Path) -> list[float]:
    """Per cent of the seeds that are finished."""
    found = [plan_system(config, seed, folder)[1].score for seed in seeds]
    return [score for score in found if score is not None]


def _safe(config: str) -> str:
    path = Path(config)
    return f'{path.parent.name}_{path.stem}'
