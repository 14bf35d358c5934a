"""Frames, multiply-adds and parameters of every config, for the metafiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmstan.benchmark.measure import count_parameters
from mmstan.benchmark.model_zoo import list_metafiles, read_metafile, write_metafile
from mmstan.benchmark.view import (
    build,
    count_view,
    find_view_size,
    use_stand_ins,
    without_computing,
)
from mmstan.config.narrow import find_backbone
from mmstan.config.walk import find


def count_figures(config: Path) -> dict[str, Any]:
    """``Metadata`` of a config for one test view: frames, nominal GMACs, parameters in millions."""
    cfg = Config.fromfile(config)
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    pipeline = cfg.test_dataloader.dataset.pipeline
    size = find(pipeline, 'crop_size')
    if size is None and (scale := find(pipeline, 'scale')):  # the toy is not cropped
        size = scale[0]
    frames, size = find_view_size(cfg, size=size)
    use_stand_ins(cfg, classes=400)
    model = build(cfg)
    with without_computing(model):
        nominal, _ = count_view(model, torch.empty(1, 3, frames, size, size))
    every, trained = count_parameters(model)
    return {
        'Frames': name_frames(cfg, frames),
        'GMACs': round(nominal.total / 1e9, 2),
        'Parameters': round(every / 1e6, 2),
        'Trained': round(trained / 1e6, 2),
    }


def name_frames(cfg: Config, frames: int) -> int | str:
    """Frames of a view of ``frames``; of DiST the tower's and the temporal encoder's, '8 + 16'."""
    in_tower = find_backbone(cfg.model).tower_frames(cfg.model.backbone, frames)
    return f'{in_tower} + {frames}' if 'gamma' in cfg.model.backbone else frames


def add_figures(root: Path, patterns: Sequence[str] = ()) -> None:
    """Give each config of the metafiles' folders its entry and its figures.

    Args:
        root: The checkout.
        patterns: Configs below ``root`` to count again; the others are counted only if their
            figures are missing.

    Raises:
        ValueError: A pattern finds no config of a metafile's folder.
    """
    metafiles = {path: sorted(path.parent.rglob('*.py')) for path in list_metafiles(root)}
    every = {config for configs in metafiles.values() for config in configs}
    again = {config for pattern in patterns for config in _find_configs(root, pattern, every)}
    for metafile, configs in metafiles.items():
        content = read_metafile(metafile)
        entries = {entry['Config']: entry for entry in content['Models']}
        collection = content['Collections'][0]['Name']
        for config in configs:
            name = config.relative_to(root).as_posix()
            entry = entries.setdefault(name, _make_entry(name, collection))
            if 'Metadata' not in entry or config in again:
                entry['Metadata'] = count_figures(config)
        content['Models'] = [_order_keys(entry) for entry in entries.values()]
        write_metafile(metafile, content)


def _find_configs(root: Path, pattern: str, every: set[Path]) -> set[Path]:
    # An absolute pattern finds nothing; Path.glob refuses it with a NotImplementedError.
    found = set() if Path(pattern).is_absolute() else every & {*root.glob(pattern)}
    if not found:
        raise ValueError(
            f"--figures '{pattern}' is no config of a metafile: write a path below the checkout, "
            "such as 'configs/stan/*.py'"
        )
    return found


def _make_entry(config: str, collection: str) -> dict[str, Any]:
    """An entry without figures; ``configs/baselines/wti/msrvtt_b32.py`` is ``wti_msrvtt_b32``."""
    parts = [part for part in Path(config).with_suffix('').parts[1:] if part != 'baselines']
    return {'Name': '_'.join(parts), 'Config': config, 'In Collection': collection}


def _order_keys(entry: dict[str, Any]) -> dict[str, Any]:
    keys = ('Name', 'Config', 'In Collection', 'Weights', 'Metadata', 'Reported', 'Measured')
    return {key: entry[key] for key in sorted(entry, key=keys.index)}
