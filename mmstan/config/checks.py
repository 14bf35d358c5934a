"""Checks of a config before anything is built: arguments, data, labels and the work dir."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmstan.compat.mmdet import find_mmdet_problem
from mmstan.config.engines import check_engine
from mmstan.config.inherited import check_inherited
from mmstan.config.labels import check_labels
from mmstan.config.paths import is_checkpoint
from mmstan.config.places import META, list_closed_keys, list_early_keys
from mmstan.config.slips import find_slip, suggest
from mmstan.config.types import find_arguments
from mmstan.config.variables import check_misplaced, check_top_level
from mmstan.config.walk import walk_named
from mmstan.registry import known_classes, type_name

# Arguments that name a file; a missing proposal_file has a message of its own (AVADataset).
_ANNOTATIONS = ('ann_file', 'video_list', 'caption_index', 'label_file', 'exclude_file')


def check_config(cfg: Config, *, splits: tuple[str, ...]) -> None:
    """Refuse a config that would fail later and with a longer message.

    Args:
        cfg: The config of a run, with its ``work_dir``.
        splits: Which data are needed: of ``'train'``, ``'val'`` and ``'test'``.

    Raises:
        ValueError: A class of mmstan does not exist or has no such argument, or a label is outside
            the classes.
        FileNotFoundError: Annotations, videos, class names or ``load_from`` do not exist.
        PermissionError: The work dir cannot be written to.
    """
    check_top_level(cfg)
    check_misplaced(cfg)
    check_inherited(cfg)
    check_arguments(cfg)
    check_engine(cfg)
    _check_recomputation(cfg)
    _check_skip_broken(cfg)
    _check_frame_masks(cfg)
    if 'train' in splits:
        _check_layer_decay(cfg)
    missing = list(find_missing_data(cfg, splits))
    if missing:
        lines = '\n'.join(f'  {path}  ({key})' for key, path in missing)
        raise FileNotFoundError(
            f'{cfg.filename} needs data that are not here:\n{lines}\n'
            'Prepare them as docs/data.md says (videos with captions: '
            'docs/retrieval.md), or set these keys with --cfg-options; `python '
            'tools/data/moving_shapes.py` renders those of the quickstart'
        )
    check_labels(cfg, splits)
    check_work_dir(cfg.work_dir)


def _check_recomputation(cfg: Config) -> None:
    """Refuse settings that save memory elsewhere, and have a counterpart here."""
    model = cfg.get('model') or {}
    kind = type_name(model.get('type', ''))
    if 'micro_batch' in model and kind.rpartition('.')[2] in ('Recognizer3D', 'ActionDetector'):
        raise ValueError(
            f'model.micro_batch: a {kind} has none, since its loss compares no samples; '
            'optim_wrapper.accumulative_counts does the same with less arithmetic'
        )
    if cfg.get('activation_checkpointing') is not None:
        raise ValueError(
            'activation_checkpointing: MMEngine checkpoints reentrantly, and parts lose their '
            'gradients where their inputs need none (mmengine#1539); set '
            'model.backbone.checkpointing=True and model.text_tower.checkpointing=True'
        )


def _check_skip_broken(cfg: Config) -> None:
    """Refuse ``skip_broken`` with metrics that would count the skipped videos' black frames."""
    for split in ('val', 'test'):
        dataset = (cfg.get(f'{split}_dataloader') or {}).get('dataset') or {}
        metrics = cfg.get(f'{split}_evaluator') or []
        metrics = metrics if isinstance(metrics, (list, tuple)) else [metrics]
        names = [type_name(metric['type']) for metric in metrics]
        others = [n for n in names if not n.startswith('mmstan.') and n != 'DumpResults']
        if dataset.get('skip_broken') and others:
            raise ValueError(
                f"{split}_dataloader.dataset.skip_broken=True, but {split}_evaluator '{others[0]}' "
                "would count the black clips; use 'mmstan.AccMetric' or 'mmstan.RetrievalMetric'"
            )


def _check_frame_masks(cfg: Config) -> None:
    """Refuse frame masks of recognizers: MMAction2 hands them to the neck in training only."""
    if 'cls_head' not in (cfg.get('model') or {}):
        return
    for split in ('train', 'val', 'test'):
        loader = f'{split}_dataloader'
        for where, node in walk_named(cfg.get(loader), loader):
            if 'frame_mask' in (node.get('algorithm_keys') or ()):
                raise ValueError(
                    f"{where}.algorithm_keys: 'frame_mask' of a recognizer counts in training and "
                    'not in a test, which averages padded frames too; leave it out, and sample '
                    'without padding (mmstan.SampleSegments)'
                )


def _check_layer_decay(cfg: Config) -> None:
    """Refuse MMAction2's layer-wise learning rates, which know the names of two backbones."""
    kind = type_name(((cfg.get('model') or {}).get('backbone') or {}).get('type', ''))
    wrapper = cfg.get('optim_wrapper') or {}
    constructor = type_name(wrapper.get('constructor') or '').rpartition('.')[2]
    if kind.startswith('mmstan.') and constructor == 'LearningRateDecayOptimizerConstructor':
        raise ValueError(
            f'optim_wrapper.constructor={constructor} knows the layers of MViT and '
            f"VisionTransformer, not those of {kind}; take 'mmstan.ParamGroups', whose "
            'paramwise_cfg.rules give a block its lr_mult'
        )


def check_work_dir(work_dir: str) -> None:
    """Raise PermissionError unless ``work_dir``, or the parent it will be made in, is writable."""
    folder = Path(work_dir).absolute()
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise PermissionError(
            f"work_dir='{work_dir}' cannot be written to ({existing}); choose another one with "
            '--work-dir'
        )


def find_missing_data(cfg: Config, splits: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """List local files and folders that ``cfg`` reads and that do not exist, as (key, path)."""
    start = cfg.get('load_from')
    if start and not is_checkpoint(start):
        yield 'load_from', start
    seen = set()
    for split in splits:
        loader = f'{split}_dataloader'
        dataset = (cfg.get(loader) or {}).get('dataset')
        for _, node in walk_named(dataset, ''):  # wrappers hold datasets, or lists of them
            root, prefix = node.get('data_root') or '', node.get('data_prefix') or {}
            prefix = prefix if isinstance(prefix, Mapping) else {'data_prefix': prefix}
            files = {key: node.get(key) for key in _ANNOTATIONS}
            for key, path in {**files, **prefix}.items():
                full = os.path.join(root, path) if isinstance(path, str) and path else ''
                if full and '://' not in full and not os.path.exists(full) and full not in seen:
                    seen.add(full)
                    yield f'{loader}.dataset {key}', full
    for where, node in walk_named(cfg.get('model', {}), 'model'):
        names = node.get('class_names')
        if isinstance(names, str) and not os.path.exists(names):
            yield f'{where}.class_names', names


def check_arguments(cfg: Config) -> None:
    """Raise ValueError for an unknown class of ours, or an argument that the class does not take.

    Also for a detector of MMDetection, where that is not usable.

    Classes of MMAction2 and others raise such errors when they are built. But some dicts without
    ``type`` are read key by key, and unknown keys would be ignored in silence; these are checked
    too.
    """
    plain = cfg.to_dict()
    _refuse_fast_rcnn(cfg)
    for where, node in walk_named(plain, ''):
        _check_node(where, node)
        place = tuple(where.split('.'))
        closed = list_closed_keys(place, plain) if where else None
        for key in sorted(node.keys() - {'_delete_'} - (closed or frozenset(node))):
            raise ValueError(f"{where} takes no '{key}'{suggest(key, closed or ())}")


def _refuse_fast_rcnn(cfg: Config) -> None:
    """Refuse MMAction2's detectors where MMDetection cannot be used.

    MMAction2 says nothing when it is imported, and then that no registry knows the model.
    """
    kind = str((cfg.get('model') or {}).get('type'))
    if kind.rpartition('.')[2] == 'FastRCNN' and find_mmdet_problem():
        raise ValueError(
            'FastRCNN needs mmdet and a full mmcv; mmstan.ActionDetector does the same without '
            f'them: {cfg.filename}'
        )


def _check_node(where: str, node: Mapping[str, Any]) -> None:
    name, known = type_name(node.get('type', '')), known_classes()
    if name not in known:
        if name.startswith('mmstan.'):
            short = {key.removeprefix('mmstan.') for key in known}
            near = suggest(
                name.rpartition('.')[2], short, otherwise='; is a class of yours in custom_imports?'
            )
            raise ValueError(f"{where}: there is no '{name}'{near}")
        return
    arguments = find_arguments(known[name])
    allowed = arguments.names | list_early_keys(known[name]) | META
    for key in sorted(node.keys() - allowed):
        slip = find_slip(key, arguments.names)
        if not arguments.more or slip:
            raise ValueError(
                f"{where}: {name} has no argument '{key}'{suggest(key, arguments.names)}"
            )
