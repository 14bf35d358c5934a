"""TimeSformer's released checkpoints (joint and divided attention, image alone) <-> ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mmstan.converters.hf_clip import map_layer
from mmstan.converters.key_map import Entry, add_prefixes, to_ours, to_theirs
from mmstan.converters.systems import register_converter

_TOWER = 'backbone.tower.visual.'

BLOCK = [
    *map_layer('norm1', 'ln1'),
    *map_layer('attn.qkv', 'attn.qkv'),
    *map_layer('attn.proj', 'attn.proj'),
    *map_layer('norm2', 'ln2'),
    *map_layer('mlp.fc1', 'ffn.layers.0.0'),
    *map_layer('mlp.fc2', 'ffn.layers.1'),
]
"""A block of ``mmpretrain.VisionTransformer``."""

TEMPORAL = [
    *map_layer('temporal_norm1', 'norm'),
    Entry('temporal_attn.qkv.weight', 'attn.in_proj_weight'),
    Entry('temporal_attn.qkv.bias', 'attn.in_proj_bias'),
    *map_layer('temporal_attn.proj', 'attn.out_proj'),
    *map_layer('temporal_fc', 'temporal_fc'),
]
"""Divided attention's part of a block."""

MODEL = [
    Entry('cls_token', _TOWER + 'cls_token'),
    Entry('pos_embed', _TOWER + 'pos_embed'),
    Entry('time_embed', 'backbone.time_embedding'),
    *map_layer('patch_embed.proj', _TOWER + 'patch_embed.projection'),
    *add_prefixes(BLOCK, theirs='blocks.{i}.', ours=_TOWER + 'layers.{i}.'),
    *map_layer('norm', _TOWER + 'ln1'),
    *map_layer('head', 'cls_head.fc_cls'),
]
"""The model without :data:`TEMPORAL`, below ``model.`` in the released file."""


def from_released(state: Mapping[str, Any], *, text_tower: str = '') -> dict[str, Tensor]:
    """A released state dict, or a file with it under ``'model_state'``, under our names.

    Args:
        state: The released state dict.
        text_tower: Not read; the model has no text tower.

    Raises:
        ValueError: Names every tensor that is missing or left over.
    """
    state = state.get('model_state', state)
    ours = to_ours(state, _list_entries(state))
    return {k: v[0] if k == 'backbone.time_embedding' else v for k, v in ours.items()}


def to_released(state: Mapping[str, Tensor], *, text_tower: str = '') -> dict[str, Tensor]:
    """Our state dict under the released names, the inverse of :func:`from_released`."""
    state = {k: v[None] if k == 'backbone.time_embedding' else v for k, v in state.items()}
    return to_theirs(state, _list_entries(state))


def _list_entries(names: Mapping[str, Any]) -> list[Entry]:
    """The map of the model, with :data:`TEMPORAL` if ``names``, of either side, have it."""
    entries = add_prefixes(MODEL, theirs='model.', ours='')
    if any('.temporal' in name for name in names):
        entries += add_prefixes(TEMPORAL, theirs='model.blocks.{i}.', ours='backbone.temporal.{i}.')
    return entries


register_converter('timesformer', from_released, to_released)
