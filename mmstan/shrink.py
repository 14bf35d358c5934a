"""The shared tiny form of every config: does it run at all, in seconds, on a laptop?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from mmstan.datasets.moving_shapes import Task, generate
from mmstan.models.towers.architecture import find_architecture

_WIDTH, _HEADS, _JOINT = 32, 2, 16


def shrink(cfg: Config, *, data: str | Path = 'data/moving_shapes') -> Config:
    """Narrow the towers of ``cfg`` and point it to the tiny Moving Shapes, for one short epoch.

    Depth, patch and image size, text length and pipelines stay, so that levels and grids are those
    of the config. Weights are neither loaded nor started from.

    Args:
        cfg: A recognition or retrieval config; it is changed.
        data: Where Moving Shapes lie, rendered if need be.
    """
    task: Task = 'retrieval' if cfg.model.type == 'mmstan.VideoTextModel' else 'recognition'
    folder = generate(data, size='tiny', tasks=[task]) / task
    _narrow_model(cfg.model)
    for node in _dicts(cfg.model):
        if 'class_names' in node:
            node.update(class_names=str(folder / 'classes.txt'), num_classes=None)
    for split, name in (('train', 'train'), ('val', 'test'), ('test', 'test')):
        loader = cfg.get(f'{split}_dataloader')
        if loader:
            loader.update(batch_size=4, num_workers=0, persistent_workers=False)
            loader.dataset = _tiny_dataset(loader.dataset, task, folder, name)
    if cfg.get('train_cfg'):
        cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.load_from = None
    return cfg


def _tiny_dataset(dataset: ConfigDict, task: Task, folder: Path, name: str) -> ConfigDict:
    """The data set of a split; of retrieval's, whose files differ, pipeline and mode are kept."""
    if task == 'retrieval':
        kept = {key: dataset[key] for key in ('pipeline', 'test_mode') if key in dataset}
        dataset = ConfigDict(type='mmstan.CaptionsJson', **kept)
    ann_file = folder / f'{name}.{"json" if task == "retrieval" else "txt"}'
    dataset.update(ann_file=str(ann_file), data_prefix={'video': str(folder)})
    return dataset


def _narrow_model(model: ConfigDict) -> None:
    """Narrow the towers, and what learns in their joint space."""
    for node in _dicts(model):
        if node.get('type') in ('mmstan.ImageTower', 'mmstan.TextTower'):
            node.update(model=_narrow(node['model'], node.get('pretrained')), pretrained=None)
    heads = [model[key] for key in ('head', 'cls_head') if model.get(key)]
    for part in (model.get('neck'), *(head.get('interaction') for head in heads)):
        for key, value in (('dim', _JOINT), ('width', _JOINT), ('init_from', None)):
            if part and key in part:
                part[key] = value


def _narrow(model: str | dict[str, Any], pretrained: str | None) -> dict[str, Any]:
    arch = find_architecture(model, pretrained)
    vision = dict(arch.vision_cfg, width=_WIDTH, head_width=_WIDTH // _HEADS)
    if vision.get('attentional_pool'):
        vision['attn_pooler_heads'] = _HEADS
    text = dict(arch.text_cfg, width=_WIDTH, heads=_HEADS, layers=1)
    return dict(embed_dim=_JOINT, vision_cfg=vision, text_cfg=text, quick_gelu=arch.quick_gelu)


def _dicts(node: Any) -> Iterator[ConfigDict]:
    """Every dict in a part of a config."""
    if isinstance(node, dict):
        yield node
    if isinstance(node, (dict, list, tuple)):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _dicts(child)
