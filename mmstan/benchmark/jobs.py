"""Jobs of the benchmark: a config, read once, its settings, and mean pooling as its reference."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path

from mmengine.config import Config

from mmstan.benchmark.cost import VARIANTS, Settings
from mmstan.benchmark.learning import CONFIGS
from mmstan.benchmark.view import find_view_size
from mmstan.config.narrow import find_backbone
from mmstan.config.paths import default_work_dir
from mmstan.config.sources import read_own_sources


@dataclass(frozen=True)
class System:
    """The facts about a config that the benchmark needs.

    Attributes:
        config: Path of the file.
        cfg: Its content.
        name: The file below ``configs``, without its suffix.
        kind: ``'recognition'``, ``'retrieval'`` or ``'detection'``.
        tower: Name of the image tower.
        digest: Hash of the content and of the user's modules that the config imports.
    """

    config: str
    cfg: Config = field(repr=False, compare=False)
    name: str
    kind: str
    tower: str
    digest: str

    def view_of_tower(self, settings: Settings) -> tuple[int, int]:
        """Number of a view's frames that pass through the tower, and their side in pixels."""
        frames, size = find_view_size(self.cfg, frames=settings.frames, size=settings.size)
        backbone = self.cfg.model.get('backbone') or {}
        return find_backbone(self.cfg.model).tower_frames(backbone, frames), size


_KINDS = {'cls_head': 'recognition', 'roi_head': 'detection'}


def read_system(config: str) -> System:
    """Read a config file, as it is now, into its facts."""
    cfg = Config.fromfile(config)
    backbone = cfg.model.get('backbone') or {}
    tower = backbone.get('tower', {})
    name = tower.get('model', tower.get('type', backbone.get('type')))
    text = ''.join([repr(cfg.to_dict()), *read_own_sources(cfg)])
    return System(
        config=config,
        cfg=cfg,
        name=str(Path(default_work_dir(config)).relative_to('work_dirs')),
        kind=next((kind for part, kind in _KINDS.items() if part in cfg.model), 'retrieval'),
        tower=name if isinstance(name, str) else 'explicit sizes',
        digest=hashlib.sha256(text.encode()).hexdigest()[:16],
    )


@dataclass(frozen=True)
class Job:
    """A config and the settings that it is measured with. The config is read once.

    Attributes:
        config: Path of the file.
        settings: The measurement settings.
        known: The config's facts, if they are read already.
    """

    config: str
    settings: Settings
    known: System | None = field(default=None, repr=False, compare=False)

    @cached_property
    def system(self) -> System:
        """The config's facts, as of the first access."""
        return self.known or read_system(self.config)

    @property
    def name(self) -> str:
        """The config below ``configs``, without its suffix."""
        return self.system.name

    @cached_property
    def view_of_tower(self) -> tuple[int, int]:
        """Number of a view's frames that pass through the tower, and their side in pixels."""
        return self.system.view_of_tower(self.settings)

    def vary(self, variant: str) -> Job:
        """The same config in a variant of the settings, a key of ``VARIANTS``.

        Of a compiled variant the iteration is measured, and no view.
        """
        settings = replace(self.settings, **VARIANTS[variant], largest_batch=False)
        return Job(self.config, replace(settings, views=not settings.compiled), self.system)


@cache
def mean_pooling() -> dict[tuple[str, str], System]:
    """(kind, tower) -> the facts of CLIP mean pooling's config on Kinetics-400 or MSR-VTT."""
    folder = CONFIGS / 'baselines/clip_mean'
    paths = [*folder.glob('k400_*.py'), *folder.glob('msrvtt_*.py')]
    systems = [read_system(path) for path in sorted(map(str, paths))]
    return {(x.kind, x.tower): x for x in systems}


def find_reference(job: Job) -> Job | None:
    """CLIP mean pooling of the job's tower on as many frames of the same size, if there is one.

    Raises:
        ValueError: The job's config does not say the size of a view.
    """
    frames, size = job.view_of_tower
    system = mean_pooling().get((job.system.kind, job.system.tower))
    if system is None:
        return None
    mean = Job(system.config, job.settings, system)
    if mean.view_of_tower == (frames, size):
        return mean
    return Job(system.config, replace(job.settings, frames=frames, size=size), system)


def add_references(configs: Sequence[str], settings: Settings) -> list[Job]:
    """Jobs of the configs, after the jobs of CLIP mean pooling with their towers; none twice.

    Raises:
        ValueError: Two files have the same name, or a config does not say the size of a view.
    """
    jobs = [Job(config, settings) for config in configs]
    return drop_repeated([*filter(None, map(find_reference, jobs)), *jobs])


def drop_repeated(jobs: Iterable[Job]) -> list[Job]:
    """The jobs, none twice.

    Raises:
        ValueError: Two files have the same name.
    """
    found: dict[tuple[str, Settings], Job] = {}
    for job in jobs:
        first = found.setdefault((job.name, job.settings), job)
        if Path(first.config).resolve() != Path(job.config).resolve():
            raise ValueError(
                f"{first.config} and {job.config} are both '{job.name}' in the table; rename one, "
                'or put it in a folder below configs'
            )
    return list(found.values())


def add_variants(jobs: Sequence[Job], beside: Sequence[str]) -> list[Job]:
    """Each job, followed by itself in the variants of its settings."""
    return [each for job in jobs for each in (job, *(job.vary(name) for name in beside))]
