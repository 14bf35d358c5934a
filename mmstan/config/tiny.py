"""The tiny form of every config, which shows in seconds on a laptop whether it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from mmstan.config.narrow import narrow_model
from mmstan.config.types import find_classes, name_types
from mmstan.config.walk import walk
from mmstan.datasets.moving_shapes import CLASS_NAMES, Task, generate
from mmstan.datasets.moving_shapes.crowd_files import CROWD_CLASSES
from mmstan.datasets.moving_shapes.tars import write_narrations, write_shards
from mmstan.models.detection import ActionDetector
from mmstan.models.sizes import Sizes
from mmstan.models.video_text import VideoTextModel

_SIZES = Sizes(width=32, heads=2, joint=16, text_layers=1)


_TASKS: tuple[tuple[type, Task], ...] = (
    (VideoTextModel, 'retrieval'),
    (ActionDetector, 'detection'),
)


def _find_task(kind: str) -> Task:
    """The task of a model's class, or of the class that it derives from."""
    classes = [found for found in find_classes(kind) if isinstance(found, type)]
    found = (task for base, task in _TASKS for cls in classes if issubclass(cls, base))
    return next(found, 'recognition')


def make_tiny(cfg: Config, *, data: str | Path = 'data/moving_shapes') -> Config:
    """Narrow the towers of ``cfg`` and point it to the tiny Moving Shapes, for one short epoch.

    Depth, patch and image size, text length and pipelines stay, so that levels and grids equal the
    config's. No weights are loaded.

    Args:
        cfg: A recognition, retrieval or detection config; it is changed.
        data: Folder of Moving Shapes, rendered if it is missing.
    """
    name_types(cfg)
    task = _find_task(cfg.model.type)
    folder = generate(data, size='tiny', tasks=[task]) / task
    narrow_model(cfg.model, _SIZES)
    if cfg.model.get('micro_batch'):
        cfg.model.micro_batch = 2
    if task == 'detection':
        set_actions(cfg, folder)
    else:
        set_classes(cfg.model, folder / 'classes.txt')
    for split, name in (('train', 'train'), ('val', 'test'), ('test', 'test')):
        loader = cfg.get(f'{split}_dataloader')
        if loader:
            loader.update(batch_size=4, num_workers=0, persistent_workers=False)
            loader.pop('pin_memory', None)  # PyTorch warns of it where there is no GPU
            loader.get('sampler', {}).pop('samples_per_epoch', None)
            loader.dataset = _make_tiny_dataset(loader.dataset, task, folder, name)
    if cfg.get('train_cfg'):
        cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.load_from = None
    return cfg


def _make_tiny_dataset(dataset: ConfigDict, task: Task, folder: Path, name: str) -> ConfigDict:
    """Point the data set of a split to Moving Shapes.

    Retrieval data sets differ in their files, so they become CaptionsJson with the same pipeline
    and mode, except for shards and for narrated videos.
    """
    if dataset.type == 'mmstan.Shards':
        dataset.update(urls=str(write_shards(folder, name)), index=None, caption='txt')
        return dataset
    if dataset.type == 'mmstan.HowTo100M':
        captions = str(write_narrations(folder, name))
        prefix = dict(video=str(folder / name))
        dataset.update(ann_file='', captions=captions, data_prefix=prefix, cache=False)
        return dataset
    if task == 'detection':
        dataset.update(find_crowds(folder, name))
        return dataset
    if task == 'retrieval':
        kept = {key: dataset[key] for key in ('pipeline', 'test_mode') if key in dataset}
        dataset = ConfigDict(type='mmstan.CaptionsJson', **kept)
    if dataset.type == 'mmstan.EpicKitchens':
        ann_file = _write_epic_csv(folder, name)
    else:
        ann_file = folder / f'{name}.{"json" if task == "retrieval" else "txt"}'
    dataset.update(ann_file=str(ann_file), data_prefix={'video': str(folder)})
    return dataset


def _write_epic_csv(folder: Path, name: str) -> Path:
    """Write the videos of a split as segments of EPIC-Kitchens, with the class as verb and noun."""
    path, times = folder / f'{name}.csv', '00:00:00.25,00:00:01.75'
    rows = [line.split() for line in (folder / f'{name}.txt').read_text().splitlines()]
    lines = [f'{Path(file).stem},{times},{label},{label}' for file, label in rows]
    header = 'video_id,start_timestamp,stop_timestamp,verb_class,noun_class'
    path.write_text('\n'.join([header, *lines]) + '\n')
    return path


def find_crowds(folder: Path, name: str) -> dict[str, Any]:
    """The arguments of an ``AVADataset`` on a split of Moving Shapes' detection task.

    Args:
        folder: The task's folder.
        name: ``'train'`` or ``'test'``.
    """
    return dict(
        ann_file=str(folder / f'{name}.csv'),
        exclude_file=str(folder / f'{name}_excluded.csv'),
        label_file=str(folder / 'labels.pbtxt'),
        proposal_file=str(folder / f'{name}_proposals.csv'),
        data_prefix={'video': str(folder / name)},
        num_classes=len(CROWD_CLASSES) + 1,
        custom_classes=None,
        timestamp_start=0,
    )


def set_actions(cfg: Config, folder: Path) -> None:
    """Set the actions of Moving Shapes' detection task in the head and in the metrics."""
    cfg.model.roi_head.bbox_head.num_classes = len(CROWD_CLASSES) + 1
    files = find_crowds(folder, 'test')
    for evaluator in (cfg.get('val_evaluator'), cfg.get('test_evaluator')):
        for metric in evaluator if isinstance(evaluator, list) else [evaluator]:
            if metric and metric.get('type') == 'mmstan.AVAMetric':
                keys = ('ann_file', 'label_file', 'exclude_file', 'custom_classes')
                metric.update({key: files[key] for key in keys})


def set_classes(model: ConfigDict, names: Path) -> None:
    """Set the motions, ``names``, as classes; linear heads get their number only."""
    for node in walk(model):
        if 'class_names' in node:
            node.update(class_names=str(names), num_classes=None)
        elif 'num_classes' in node:
            node.num_classes = len(CLASS_NAMES)
