"""Trackers: TensorBoard, Weights & Biases and MLflow as backends of a config's visualizer."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from mmengine.config import Config

TRACKERS = dict(
    tensorboard='TensorboardVisBackend', wandb='WandbVisBackend', mlflow='MLflowVisBackend'
)
"""Name of a tracker, which is its package's name too -> its backend in MMEngine."""


def add_trackers(cfg: Config, names: Sequence[str]) -> None:
    """Append trackers to the visualizer's backends; a backend that is there already stays.

    Args:
        cfg: A config; it is changed.
        names: Names in :data:`TRACKERS`.

    Raises:
        ImportError: A package is not installed.
    """
    for name in names:
        if find_spec(name) is None:
            raise ImportError(f'--track {name} needs the package {name}: pip install {name}')
        backends = list(cfg.visualizer.get('vis_backends') or [])
        if TRACKERS[name] not in [backend['type'] for backend in backends]:
            cfg.visualizer.vis_backends = [*backends, dict(type=TRACKERS[name])]
