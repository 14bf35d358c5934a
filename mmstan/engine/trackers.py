"""Trackers: TensorBoard, Weights & Biases and MLflow as backends of a config's visualizer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config

TRACKERS = dict(
    tensorboard='TensorboardVisBackend', wandb='WandbVisBackend', mlflow='MLflowVisBackend'
)
"""Name of a tracker, which is its package's name too -> its backend in MMEngine."""


def add_trackers(cfg: Config, names: Sequence[str]) -> None:
    """Append trackers to the visualizer's backends; a backend that is there already stays.

    Args:
        cfg: A config with a work dir; it is changed. MLflow writes to ``mlflow.db`` in the work
            dir, or where the environment variable ``MLFLOW_TRACKING_URI`` says.
        names: Names in :data:`TRACKERS`.

    Raises:
        ImportError: A package is not installed.
    """
    for name in names:
        if find_spec(name) is None:
            raise ImportError(f'--track {name} needs the package {name}: pip install {name}')
        if not cfg.get('visualizer'):  # MMEngine's own
            cfg.visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
        backends = list(cfg.visualizer.get('vis_backends') or [])
        if TRACKERS[name] not in [backend['type'] for backend in backends]:
            cfg.visualizer.vis_backends = [*backends, _make_backend(name, cfg)]


def _make_backend(name: str, cfg: Config) -> dict[str, Any]:
    backend: dict[str, Any] = dict(type=TRACKERS[name])
    if name == 'mlflow':  # MMEngine's default, a folder of files, is refused by MLflow 3
        database = f'sqlite:///{Path(cfg.work_dir).absolute()}/mlflow.db'
        backend['tracking_uri'] = os.environ.get('MLFLOW_TRACKING_URI', database)
    return backend
