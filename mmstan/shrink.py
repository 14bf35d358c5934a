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
    _set_classes(cfg.model, folder / 'classes.txt')
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
    if dataset.type == 'mmstan.EpicKitchens':
        ann_file = _epic_csv(folder, name)
    else:
        ann_file = folder / f'{name}.{"json" if task == "retrieval" else "txt"}'
    dataset.update(ann_file=str(ann_file), data_prefix={'video': str(folder)})
    return dataset


def _epic_csv(folder: Path, name: str) -> Path:
    """The videos of a split as segments of EPIC-Kitchens: a class is both their verb and noun."""
    path, times = folder / f'{name}.csv', '00:00:00.25,00:00:01.75'
    rows = [line.split() for line in (folder / f'{name}.txt').read_text().splitlines()]
    lines = [f'{Path(file).stem},{times},{label},{label}' for file, label in rows]
    header = 'video_id,start_timestamp,stop_timestamp,verb_class,noun_class'
    path.write_text('\n'.join([header, *lines]) + '\n')
    return path


def _set_classes(model: ConfigDict, names: Path) -> None:
    """Classify into ``names``, also where only their number is asked for (linear heads, Mixup)."""
    for node in _dicts(model):
        if 'class_names' in node:
            node.update(class_names=str(names), num_classes=None)
        elif 'num_classes' in node:
            node.num_classes = len(names.read_text().splitlines())


def _narrow_model(model: ConfigDict) -> None:
    """Narrow the towers, and what learns in their joint space."""
    joint = _JOINT
    for node in _dicts(model):
        if node.get('type') in ('mmstan.ImageTower', 'mmstan.TextTower'):
            node.update(model=_narrow(node['model'], node.get('pretrained')), pretrained=None)
        elif node.get('type') == 'mmstan.DiST':
            node.update(width=_WIDTH, temporal_width=_WIDTH // 2)
        elif node.get('type') == 'mmstan.MMPretrainImageTower':
            node.vit.update(arch=_narrow_vit(node.vit.arch), init_cfg=None)
            joint = _WIDTH
        elif node.get('type') == 'mmstan.EVL' or node.get('features') == 'clip':
            joint = _WIDTH  # features that are not projected
    heads = [model[key] for key in ('head', 'cls_head') if model.get(key)]
    widths = dict(dim=joint, width=joint, in_channels=joint, heads=_HEADS, init_from=None)
    for part in (model.get('neck'), *heads, *(head.get('interaction') for head in heads)):
        if part:
            part.update({key: value for key, value in widths.items() if key in part})


def _narrow(model: str | dict[str, Any], pretrained: str | None) -> dict[str, Any]:
    arch = find_architecture(model, pretrained)
    vision = dict(arch.vision_cfg, width=_WIDTH, head_width=_WIDTH // _HEADS)
    if vision.get('attentional_pool'):
        vision['attn_pooler_heads'] = _HEADS
    text = dict(arch.text_cfg, width=_WIDTH, heads=_HEADS, layers=1)
    return dict(embed_dim=_JOINT, vision_cfg=vision, text_cfg=text, quick_gelu=arch.quick_gelu)


def _narrow_vit(arch: str | dict[str, Any]) -> dict[str, Any]:
    from mmpretrain.models.backbones import VisionTransformer  # which takes seconds

    sizes = VisionTransformer.arch_zoo[arch] if isinstance(arch, str) else arch
    narrow = dict(embed_dims=_WIDTH, num_heads=_HEADS, feedforward_channels=4 * _WIDTH)
    return {**sizes, **narrow}


def _dicts(node: Any) -> Iterator[ConfigDict]:
    """Every dict in a part of a config."""
    if isinstance(node, dict):
        yield node
    if isinstance(node, (dict, list, tuple)):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _dicts(child)
