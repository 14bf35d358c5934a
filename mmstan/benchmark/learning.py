"""Train any config on Moving Shapes, with the same small towers, data and budget for all.

``tools/benchmark.py --train moving_shapes`` runs this. The papers' towers are pretrained as CLIP;
these towers are pretrained as a toy CLIP with the same seed: contrastive learning from captions and
the mean of their videos' frames. From these weights each system learns to recognise motions, or to
retrieve videos that show the caption's event in a third of their frames.
"""

from __future__ import annotations

import hashlib
import shutil
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config

from mmstan.benchmark.runs import (
    Figures,
    compute_recognition_figures,
    digest_start_files,
    find_last_checkpoint,
    lock_run,
    read_detection_figures,
    read_result,
    read_retrieval_figures,
    train_and_test,
)
from mmstan.compat.checkpoints import load_file
from mmstan.config.paths import find_shipped
from mmstan.config.sources import read_own_sources
from mmstan.config.toy import make_toy, require_image_tower, take_towers
from mmstan.datasets.moving_shapes import Task, generate
from mmstan.registry import type_name

CONFIGS = find_shipped('configs')


@dataclass(frozen=True)
class Kind:
    """The task and budget for one kind of model.

    Attributes:
        base: Config with data and schedule, below ``configs/quickstart``.
        epochs: Number of training epochs.
        task: The data set: 6,000 clips an epoch for recognition, 2,400 for detection, 3,000 for the
            others.
        score: Key of the reported figure, and the factor that turns it into per cent.
    """

    base: str
    epochs: int
    task: Task
    score: tuple[str, float]


TOWERS = Kind('retrieval_stan.py', epochs=8, task='retrieval', score=('t2v/R1', 1.0))
"""Pretraining of the toy towers, in a CLIP mean pooling model."""
KINDS = {
    'Recognizer3D': Kind('clip_mean.py', 3, 'recognition', ('top-1', 100.0)),
    'mmstan.ActionDetector': Kind('detection_clip_mean.py', 3, 'detection', ('mAP', 100.0)),
    'mmstan.VideoTextModel': Kind('misaligned_stan.py', 4, 'misaligned', ('t2v/R1', 1.0)),
}
"""``model.type`` of a system -> its kind."""
_FIGURES: dict[Task, Figures] = {
    'recognition': compute_recognition_figures,
    'detection': read_detection_figures,
}


@dataclass(frozen=True)
class Plan:
    """A run and its folder; equal models with equal budgets share one run.

    Attributes:
        config: The toy's config.
        work_dir: Folder of this run alone.
        kind: Task and budget.
        seed: Random seed.
    """

    config: Config
    work_dir: Path
    kind: Kind
    seed: int

    @property
    def file(self) -> Path:
        """Path that the config is written to."""
        return self.work_dir.with_name(f'{self.work_dir.name}.py')

    def run(self) -> None:
        """Train and test, unless the run is finished."""
        generate(size='small', tasks=[self.kind.task])
        with lock_run(self.work_dir):
            if not self._is_written:
                part = self.file.with_suffix('.part.py')  # renamed: nobody reads half a config
                self.config.dump(part)
                part.replace(self.file)
        figures = _FIGURES.get(self.kind.task, read_retrieval_figures)
        train_and_test(self.file, self.work_dir, '--seed', str(self.seed), figures=figures)

    def forget(self) -> None:
        """Delete the run's folder."""
        with lock_run(self.work_dir):
            shutil.rmtree(self.work_dir, ignore_errors=True)

    @property
    def _is_written(self) -> bool:
        # Compared as dicts: laying a config out as text is slow.
        return self.file.exists() and Config.fromfile(self.file).to_dict() == self.config.to_dict()

    @property
    def score(self) -> float | None:
        """The score in per cent; None if the run is unfinished or had another config or start."""
        result, (key, factor) = self.work_dir / 'result.json', self.kind.score
        if not result.exists() or not self._is_written or not self._has_its_start:
            return None
        figures = read_result(result)
        return None if figures is None else factor * figures[key]

    @property
    def _has_its_start(self) -> bool:
        # Towers that were trained again are another start.
        made_from = self.work_dir / 'made_from.txt'
        known = made_from.read_text().splitlines() if made_from.exists() else []
        return bool(known) and {*digest_start_files(self.config)} <= {*known}


def plan_system(config: str, seed: int, folder: Path) -> tuple[Plan, Plan]:
    """The run that pretrains the toy towers, and the system's run that starts from them.

    Args:
        config: A recognition, retrieval or detection config.
        seed: Random seed of both runs.
        folder: Folder for both.

    Raises:
        ValueError: The config has no toy form.
    """
    cfg = Config.fromfile(config)
    kind = KINDS.get(type_name(cfg.model.type))
    if kind is None:
        raise ValueError(f'{config}: model.type={cfg.model.type!r} is none of {list(KINDS)}')
    require_image_tower(cfg)
    towers = _plan(_mean_pooling(cfg), TOWERS, seed, folder / 'towers')
    weights = towers.work_dir / 'towers.pt'
    return towers, _plan(cfg, kind, seed, folder / Path(config).resolve().parent.name, weights)


def _mean_pooling(cfg: Config) -> Config:
    """A config of CLIP mean pooling with the towers of ``cfg``."""
    mean = Config.fromfile(CONFIGS / 'baselines/clip_mean/msrvtt_b32.py')
    source = cfg.model.backbone.get('tower', {})
    for tower in (mean.model.backbone.tower, mean.model.text_tower):
        tower.update({key: deepcopy(source.get(key)) for key in ('model', 'pretrained')})
    return mean


def _plan(cfg: Config, kind: Kind, seed: int, path: Path, weights: Path | None = None) -> Plan:
    base = Config.fromfile(CONFIGS / 'quickstart' / kind.base)
    run = make_toy(cfg, base, pretrained=str(weights) if weights else None, epochs=kind.epochs)
    # The folder's name has a digest of the model: another model gets another folder.
    model = ''.join([repr(run.model), *read_own_sources(cfg)])
    digest = hashlib.sha256(model.encode()).hexdigest()[:8]
    name = f'{path.name}_{kind.task}_{digest}_seed{seed}'
    return Plan(run, path.with_name(name), kind, seed)


def train(config: str, seed: int, folder: Path) -> None:
    """Train and test the toy form of a config, unless the run is finished."""
    towers, system = plan_system(config, seed, folder)
    weights = towers.work_dir / 'towers.pt'
    # Only one process trains the towers; the others wait for the file.
    with lock_run(towers.work_dir.with_name(f'{towers.work_dir.name}_weights')):
        towers.run()  # of other data or another config empties the folder, the file included
        if not weights.exists():
            state = load_file(find_last_checkpoint(towers.work_dir))['state_dict']
            torch.save(take_towers(state), weights.with_suffix('.part'))
            weights.with_suffix('.part').replace(weights)
    system.run()


def read_scores(config: str, seeds: list[int], folder: Path) -> list[float]:
    """Scores in per cent, one per finished seed."""
    found = [plan_system(config, seed, folder)[1].score for seed in seeds]
    return [score for score in found if score is not None]
