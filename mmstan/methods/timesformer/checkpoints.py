"""TimeSformer's released checkpoints (joint and divided attention, image alone) <-> ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mmstan.converters.hf_clip import layer
from mmstan.converters.key_map import Entry, to_ours, to_theirs, with_prefixes
from mmstan.converters.systems import register_converter

_TOWER = 'backbone.tower.visual.'

BLOCK = [
    *layer('norm1', 'ln1'),
    *layer('attn.qkv', 'attn.qkv'),
    *layer('attn.proj', 'attn.proj'),
    *layer('norm2', 'ln2'),
    *layer('mlp.fc1', 'ffn.layers.0.0'),
    *layer('mlp.fc2', 'ffn.layers.1'),
]
"""A block of ``mmpretrain.VisionTransformer``."""

TEMPORAL = [
    *layer('temporal_norm1', 'norm'),
    Entry('temporal_attn.qkv.weight', 'attn.in_proj_weight'),
    Entry('temporal_attn.qkv.bias', 'attn.in_proj_bias'),
    *layer('temporal_attn.proj', 'attn.out_proj'),
    *layer('temporal_fc', 'temporal_fc'),
]
"""Divided attention's part of a block."""

MODEL = [
    Entry('cls_token', _TOWER + 'cls_token'),
    Entry('pos_embed', _TOWER + 'pos_embed'),
    Entry('time_embed', 'backbone.time_embedding'),
    *layer('patch_embed.proj', _TOWER + 'patch_embed.projection'),
    *with_prefixes(BLOCK, theirs='blocks.{i}.', ours=_TOWER + 'layers.{i}.'),
    *layer('norm', _TOWER + 'ln1'),
    *layer('head', 'cls_head.fc_cls'),
]
"""All but that, below ``model.`` there."""


def from_released(state: Mapping[str, Any], *, text_tower: str = '') -> dict[str, Tensor]:
    """A released state dict, or the file that it is the ``'model_state'`` of, under our names.

    Args:
        state: The released state dict.
        text_tower: Not read, there is none.

    Raises:
        ValueError: Names every tensor that is missing or left over.
    """
    state = state.get('model_state', state)
    ours = to_ours(state, _entries(state))
    return {k: v[0] if k == 'backbone.time_embedding' else v for k, v in ours.items()}


def to_released(state: Mapping[str, Tensor], *, text_tower: str = '') -> dict[str, Tensor]:
    """Our state dict under the released names, the inverse of :func:`from_released`."""
    state = {k: v[None] if k == 'backbone.time_embedding' else v for k, v in state.items()}
    return to_theirs(state, _entries(state))


def _entries(names: Mapping[str, Any]) -> list[Entry]:
    """The map of the model, with divided attention where ``names``, of either side, tell so."""
    entries = with_prefixes(MODEL, theirs='model.', ours='')
    if any('.temporal' in name for name in names):
        entries += with_prefixes(
            TEMPORAL, theirs='model.blocks.{i}.', ours='backbone.temporal.{i}.'
        )
    return entries


register_converter('timesformer', from_released, to_released)
