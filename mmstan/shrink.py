"""The shared tiny form of every config: does it run at all, in seconds, on a laptop?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from mmstan.datasets.moving_shapes import generate
from mmstan.models.towers.architecture import find_architecture

_WIDTH, _HEADS, _JOINT = 32, 2, 16


def shrink(cfg: Config, *, data: str | Path = 'data/moving_shapes') -> Config:
    """Narrow the towers of ``cfg`` and point it to the tiny Moving Shapes, for one short epoch.

    Depth, patch and image size stay, so that levels, grids and pipelines are those of the config.

    Args:
        cfg: A recognition config; it is changed.
        data: Where Moving Shapes lie, rendered if need be.
    """
    folder = generate(data, size='tiny', tasks=['recognition']) / 'recognition'
    for node in _dicts(cfg.model):
        if node.get('type') in ('mmstan.ImageTower', 'mmstan.TextTower'):
            node.update(model=_narrow(node['model'], node.get('pretrained')), pretrained=None)
        if 'class_names' in node:
            node.update(class_names=str(folder / 'classes.txt'), num_classes=None)
    for split, ann_file in (('train', 'train.txt'), ('val', 'test.txt'), ('test', 'test.txt')):
        loader = cfg.get(f'{split}_dataloader')
        if loader:
            loader.update(batch_size=4, num_workers=0, persistent_workers=False)
            loader.dataset.update(
                ann_file=str(folder / ann_file), data_prefix={'video': str(folder)}
            )
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    return cfg


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
