"""What ``tools/benchmark.py`` has measured already, and the rows that are made of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from benchmark_cost import Settings
from benchmark_table import Row, cost_figures, score_figures
from mmengine.config import Config
from toy_training import CONFIGS, KINDS, scores

from mmstan.config import default_work_dir, own_sources


class Costs:
    """Costs by config and round: a file that grows.

    What was measured of another state of a config, or of the user's modules that it imports, is
    not seen. Changes of mmstan's own code are not noticed: :meth:`forget`.

    Args:
        path: The file.
        settings: Only what was measured with them is seen.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path, self.settings = path, asdict(settings)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def rounds(self, config: str) -> dict[int, dict[str, float]]:
        """Figures of a config by round."""
        return {
            line['round']: line['figures']
            for line in self._lines()
            if self._is_of(line, config) and line.get('made_from') == made_from(config)
        }

    def add(self, config: str, index: int, figures: dict[str, float]) -> None:
        """Keep the figures of a round."""
        line = dict(
            config=name_of(config),
            made_from=made_from(config),
            settings=self.settings,
            round=index,
            figures=figures,
        )
        with self.path.open('a') as file:
            file.write(json.dumps(line) + '\n')

    def forget(self, config: str) -> None:
        """Throw away what there is of a config with these settings."""
        kept = [line for line in self._lines() if not self._is_of(line, config)]
        self.path.write_text(''.join(json.dumps(line) + '\n' for line in kept))

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def _is_of(self, line: dict[str, Any], config: str) -> bool:
        return line['config'] == name_of(config) and line['settings'] == self.settings


@cache
def made_from(config: str) -> str:
    """Digest of a config and of the user's modules that it imports."""
    cfg = Config.fromfile(config)
    text = ''.join([repr(cfg.to_dict()), *own_sources(cfg)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def name_of(config: str) -> str:
    """The config below ``configs``, without its suffix."""
    return str(Path(default_work_dir(config)).relative_to('work_dirs'))


def kind_and_tower(config: str) -> tuple[str, str]:
    """``'recognition'`` or ``'retrieval'``, and the image tower's name."""
    model = Config.fromfile(config).model
    tower = model.backbone.get('tower', {})
    name = tower.get('model', tower.get('type', model.backbone.type))
    kind = 'recognition' if 'cls_head' in model else 'retrieval'
    return kind, name if isinstance(name, str) else 'explicit sizes'


def mean_pooling() -> dict[tuple[str, str], str]:
    """CLIP mean pooling's config for each kind of model and tower."""
    paths = sorted(map(str, (CONFIGS / 'baselines/clip_mean').glob('*.py')), reverse=True)
    return {kind_and_tower(path): path for path in paths}  # k400 takes the place of ssv2


def rows_of(
    configs: Sequence[str], costs: Costs, seeds: list[int], folder: Path, machine: str
) -> list[Row]:
    """Rows of what is there.

    Args:
        configs: Config files.
        costs: What was measured.
        seeds: Of the runs that count.
        folder: Where the runs are.
        machine: What all of it was measured on.
    """
    means, rows = mean_pooling(), []
    for config in configs:
        key = kind_and_tower(config)
        mean = costs.rounds(means[key]) if key in means else {}
        fields: dict[str, Any] = cost_figures(costs.rounds(config), mean, costs.settings['clips'])
        if Config.fromfile(config).model.type in KINDS:
            fields |= score_figures(scores(config, seeds, folder))
        rows.append(Row(name_of(config), *key, machine, **fields))
    return rows
