"""A model's config with smaller towers, and fitting widths in the parts next to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import ConfigDict

from mmstan.config.walk import walk
from mmstan.models.backbones import VideoBackbone
from mmstan.models.sizes import Sizes
from mmstan.models.towers.architecture import narrow_architecture
from mmstan.registry import MODELS


def narrow_model(model: ConfigDict, sizes: Sizes) -> None:
    """Change the config of a recognizer, a retrieval model or a detector to ``sizes``.

    The class method ``narrowed`` of a class (towers, backbones, interactions) returns the settings
    that change. In a neck, head or interaction the arguments ``dim``, ``width`` and ``in_channels``
    become the width of the features, ``heads`` the towers', ``num_frames`` the clip's.
    ``init_from`` becomes a narrow tower with the weights in ``sizes``, or None without weights.

    Args:
        model: The ``model`` of a config; it is changed.
        sizes: Sizes of the narrow form.
    """
    features = find_backbone(model).narrow_width(model.backbone, sizes)
    for node in list(walk(model)):  # a backbone comes before its tower, whose depth it reads
        cls = find_class(node.get('type'))
        if hasattr(cls, 'narrowed'):
            node.update(cls.narrowed(node, sizes))
        if isinstance(node.get('init_from'), dict):
            node.update(init_from=_narrow_start(node['init_from'], sizes))
    widths = dict(dim=features, width=features, in_channels=features, heads=sizes.heads)
    if sizes.frames:
        widths.update(num_frames=sizes.frames)
    for part in list_joint_parts(model):
        part.update({key: value for key, value in widths.items() if key in part})


def find_class(kind: Any) -> Any:
    """Find the model class of a config's ``type``; None if no model has the name."""
    if not isinstance(kind, str):
        return kind
    try:
        return MODELS.get(kind)
    except RuntimeError:
        return None


def find_backbone(model: Mapping[str, Any]) -> type[VideoBackbone]:
    """Find the class of a model's backbone; for foreign backbones the contract, with defaults."""
    cls = find_class((model.get('backbone') or {}).get('type'))
    return cls if isinstance(cls, type) and issubclass(cls, VideoBackbone) else VideoBackbone


def list_joint_parts(model: ConfigDict) -> Iterator[ConfigDict]:
    """Give the configs of neck, head, interaction and its parts, which work in the joint space."""
    heads = [model[key] for key in ('head', 'cls_head') if model.get(key)]
    heads += [head[key] for head in heads for key in ('verb', 'noun') if head.get(key)]
    interactions = [head['interaction'] for head in heads if head.get('interaction')]
    of_average = [part for interaction in interactions for part in interaction.get('parts', ())]
    for part in (model.get('neck'), *heads, *interactions, *of_average):
        if part:
            yield part


def _narrow_start(start: Mapping[str, Any], sizes: Sizes) -> dict[str, Any] | None:
    """Narrow the text tower of ``init_from``; None if the narrow form has no weights."""
    if sizes.pretrained is None:
        return None
    model = narrow_architecture(start['model'], start.get('pretrained'), sizes)
    return dict(start, model=model, pretrained=sizes.pretrained)
