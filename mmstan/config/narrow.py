"""A model's config with smaller towers, and what learns beside them of fitting widths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import ConfigDict

from mmstan.config.walk import dicts
from mmstan.models.sizes import Sizes
from mmstan.models.towers.architecture import find_architecture


def narrow_model(model: ConfigDict, sizes: Sizes, *, pretrained: str | None = None) -> None:
    """Change a recognizer's or retrieval model's config to ``sizes``.

    Args:
        model: The ``model`` of a config; it is changed.
        sizes: Of the towers.
        pretrained: Weights of such towers, None for none.
    """
    joint, depth = sizes.joint, _depth(model.backbone.tower)
    for node in list(dicts(model)):
        kind = node.get('type')
        if kind in ('mmstan.ImageTower', 'mmstan.TextTower'):
            tower = _narrow(node['model'], node.get('pretrained'), sizes)
            node.update(model=tower, pretrained=pretrained)
        elif kind == 'mmstan.DiST':
            node.update(width=sizes.width, temporal_width=sizes.width // 2)
        elif kind == 'mmstan.STAdapter' and sizes.hidden:
            node.update(hidden=sizes.hidden)
        elif kind == 'mmstan.MMPretrainImageTower':  # depth and patches stay its own
            node.vit.update(arch=_narrow_vit(node.vit.arch, sizes), init_cfg=None)
            joint = sizes.width
        elif kind == 'mmstan.EVL' and sizes.image_size:
            node.update(image_size=sizes.image_size)
        if kind == 'mmstan.EVL' or node.get('features') == 'clip':
            joint = sizes.width  # features that are not projected
        if isinstance(node.get('init_from'), dict):
            start = node['init_from']
            start.update(model=_narrow(start['model'], start.get('pretrained'), sizes))
            node.update(init_from=dict(start, pretrained=pretrained) if pretrained else None)
        if sizes.layers and 'levels' in node:
            node.update(levels=_levels(node['levels'], depth, sizes.layers))
    widths = dict(dim=joint, width=joint, in_channels=joint, heads=sizes.heads)
    for part in joint_space_parts(model):
        part.update({key: value for key, value in widths.items() if key in part})


def joint_space_parts(model: ConfigDict) -> Iterator[ConfigDict]:
    """Neck, head and interaction, which stand in the joint space."""
    heads = [model[key] for key in ('head', 'cls_head') if model.get(key)]
    for part in (model.get('neck'), *heads, *(head.get('interaction') for head in heads)):
        if part:
            yield part


def _depth(tower: ConfigDict) -> int:
    if 'vit' in tower:
        return int(_vit_sizes(tower.vit.arch)['num_layers'])
    return int(find_architecture(tower.model, tower.get('pretrained')).vision_cfg['layers'])


def _levels(levels: Sequence[int | None], depth: int, layers: int) -> tuple[int | None, ...]:
    """Levels of ``depth`` blocks -> those of ``layers`` that are as far from the last one.

    >>> _levels((9, 10, 11, 12), 12, 4), _levels((3, 6, 9, 12), 12, 4), _levels((9, None), 12, 4)
    ((1, 2, 3, 4), (1, 4), (1, None))
    """
    found = [level if level is None else max(1, level - depth + layers) for level in levels]
    return tuple(x for i, x in enumerate(found) if x is None or x not in found[:i])


def _narrow(model: str | dict[str, Any], pretrained: str | None, sizes: Sizes) -> dict[str, Any]:
    arch = find_architecture(model, pretrained)
    vision = dict(arch.vision_cfg, width=sizes.width, head_width=sizes.width // sizes.heads)
    for key in ('layers', 'image_size', 'patch_size'):
        vision[key] = getattr(sizes, key) or vision[key]
    if vision.get('attentional_pool'):
        vision['attn_pooler_heads'] = sizes.heads
    text = dict(arch.text_cfg, width=sizes.width, heads=sizes.heads, layers=sizes.text_layers)
    return dict(embed_dim=sizes.joint, vision_cfg=vision, text_cfg=text, quick_gelu=arch.quick_gelu)


def _narrow_vit(arch: str | dict[str, Any], sizes: Sizes) -> dict[str, Any]:
    width = sizes.width
    narrow = dict(embed_dims=width, num_heads=sizes.heads, feedforward_channels=4 * width)
    return {**_vit_sizes(arch), **narrow}


def _vit_sizes(arch: str | dict[str, Any]) -> dict[str, Any]:
    from mmpretrain.models.backbones import VisionTransformer  # which takes seconds

    return VisionTransformer.arch_zoo[arch] if isinstance(arch, str) else arch
