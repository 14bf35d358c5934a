"""DiST's released checkpoints <-> ours, in both generations of their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from mmstan.converters.hf_clip import map_layer
from mmstan.converters.key_map import Entry, add_prefixes, drop_scale, to_ours, to_theirs
from mmstan.converters.openai_clip import TEXT, VISUAL
from mmstan.converters.systems import register_converter

_PREFIX = 'backbone.base_encoder.'
_LADDER_NET = {
    'input_linears': 'input_map_feat_nets',
    'integration2temporal_nets': 's2t_fuse_nets',
    'temporal2integration_nets': 't2s_fuse_nets',
    'integration_nets': 'spatial_nets',
    'adapooling_nets': 'final_temporal_nets',
}
"""Part of ``dist_net`` -> its name in the older ``ladder_net``; other parts have one name."""

_ONES = {
    r'temporal2integration_nets\.\d+\.cls_token': (2, 0),
    r'integration_nets\.\d+\.temporal_ffn\.c_(fc1|proj)\.weight': (0, 3),
    r'adapooling_nets\.\d+\.positional_embedding': (1, 0),
    r'aggregated_(spatial_)?cls_token': (2, 0),
}
"""Names of released tensors with dimensions of size 1 that ours lack: (leading, trailing)."""

LAYER = [
    *map_layer('input_linears.{i}', 'project'),
    *map_layer('temporal_nets.{i}.ln', 'temporal_block.norm'),
    *map_layer('temporal_nets.{i}.temporal_net.c_fc1', 'temporal_block.time'),
    *map_layer('temporal_nets.{i}.temporal_net.c_fc2', 'temporal_block.space'),
    *map_layer('integration2temporal_nets.{i}.linear_fuse', 'to_temporal.up.linear'),
    Entry('temporal2integration_nets.{i}.cls_token', 'to_integration.class_tokens.embedding'),
    *map_layer('temporal2integration_nets.{i}.linear_fuse', 'to_integration.down.conv'),
    *map_layer('integration_nets.{i}.ln', 'integration_block.norm'),
    *map_layer('integration_nets.{i}.ffn.c_fc', 'integration_block.ffn.up'),
    *map_layer('integration_nets.{i}.ffn.c_proj', 'integration_block.ffn.down'),
    *map_layer('integration_nets.{i}.ln_temporal', 'integration_block.temporal_norm'),
    *map_layer('integration_nets.{i}.temporal_ffn.c_fc1', 'integration_block.temporal_ffn.reduce'),
    *map_layer('integration_nets.{i}.temporal_ffn.c_fc2', 'integration_block.temporal_ffn.conv'),
    *map_layer('integration_nets.{i}.temporal_ffn.c_proj', 'integration_block.temporal_ffn.expand'),
]
"""The branch's layer next to a tower block, below ``layers.{i}.`` in ours."""


def _list_cross_attention(attn: str, norm: str, mlp: str, ours: str) -> list[Entry]:
    return add_prefixes(
        [
            Entry(f'{attn}.attn.in_proj_weight', 'attn.in_proj_weight'),
            Entry(f'{attn}.attn.in_proj_bias', 'attn.in_proj_bias'),
            *map_layer(f'{attn}.attn.out_proj', 'attn.out_proj'),
            *map_layer(f'{attn}.ln_1', 'norm'),
            *map_layer(norm, 'mlp_norm'),
            *map_layer(f'{mlp}.c_fc', 'mlp.up'),
            *map_layer(f'{mlp}.c_proj', 'mlp.down'),
        ],
        theirs='adapooling_nets.{j}.',
        ours=f'pooling.blocks.{{j}}.{ours}.',
    )


BRANCH = [
    *map_layer('temporal_stem', 'stem'),
    *add_prefixes(LAYER, theirs='', ours='layers.{i}.'),
    Entry('adapooling_nets.{j}.positional_embedding', 'pooling.blocks.{j}.positions.embedding'),
    *_list_cross_attention(
        'spatial_transformer', 'ln_out_spat_cls_token', 'output_map_spatial_cls_token', 'space'
    ),
    *_list_cross_attention(
        'temporal_transformer', 'ln_out_temp_cls_token', 'output_map_cls_token', 'time'
    ),
    Entry('aggregated_cls_token', 'pooling.clip_token'),
    Entry('aggregated_spatial_cls_token', 'pooling.frame_token'),
    *map_layer('proj_spatial_cls_token', 'cls_projection'),
    *map_layer('ln_post', 'norm'),
    Entry('proj', 'projection.weight', 'transpose'),
]
"""All trained tensors, below ``dist_net.`` in the released file."""


def from_released(
    state: Mapping[str, Any], *, text_tower: str = 'cls_head.texts.tower.'
) -> dict[str, Tensor]:
    """A released state dict, or a file with it under ``'model_state'``, under our names.

    ``logit_scale`` is dropped and its value logged: the released code does not train it, and
    ``TextHead`` takes it as an argument.

    Args:
        state: The released state dict, of either generation.
        text_tower: Prefix of our model's text tower.

    Raises:
        ValueError: Names every tensor that is missing or left over.
    """
    state = {
        _name_newer(name.removeprefix(_PREFIX)): tensor
        for name, tensor in state.get('model_state', state).items()
    }
    state = _reshape_differing(drop_scale(state), _strip_ones)
    return to_ours(state, _list_entries(text_tower))


def to_released(
    state: Mapping[str, Tensor],
    *,
    text_tower: str = 'cls_head.texts.tower.',
    prefix: str = _PREFIX,
    generation: Literal['dist_net', 'ladder_net'] = 'dist_net',
    logit_scale: float = 100.0,
) -> dict[str, Tensor]:
    """Our state dict under the released names, the inverse of :func:`from_released`."""
    theirs = _reshape_differing(to_theirs(state, _list_entries(text_tower)), _add_ones)
    theirs['logit_scale'] = torch.tensor(logit_scale).log()
    name_of = _name_older if generation == 'ladder_net' else str
    return {prefix + name_of(name): tensor for name, tensor in theirs.items()}


def _list_entries(text_tower: str) -> list[Entry]:
    return [
        *add_prefixes(VISUAL, theirs='visual.', ours='backbone.tower.visual.'),
        *add_prefixes(BRANCH, theirs='dist_net.', ours='backbone.branch.'),
        *add_prefixes(TEXT, theirs='', ours=f'{text_tower}text.'),
    ]


def _name_newer(name: str) -> str:
    """A name in ``ladder_net`` -> its name in ``dist_net``; other names stay."""
    net, _, rest = name.partition('.')
    if net != 'ladder_net':
        return name
    part, dot, rest = rest.partition('.')
    newer = {older: newer for newer, older in _LADDER_NET.items()}
    return f'dist_net.{newer.get(part, part)}{dot}{rest}'


def _name_older(name: str) -> str:
    """The inverse of :func:`_name_newer`."""
    net, _, rest = name.partition('.')
    if net != 'dist_net':
        return name
    part, dot, rest = rest.partition('.')
    return f'ladder_net.{_LADDER_NET.get(part, part)}{dot}{rest}'


def _reshape_differing(
    state: Mapping[str, Tensor], change: Callable[[Tensor, int, int], Tensor]
) -> dict[str, Tensor]:
    """``state`` (released names) with ``change`` applied where shapes differ from ours."""
    out = dict(state)
    for name, tensor in state.items():
        for pattern, (leading, trailing) in _ONES.items():
            if re.fullmatch(rf'dist_net\.{pattern}', name):
                out[name] = change(tensor, leading, trailing)
    return out


def _strip_ones(tensor: Tensor, leading: int, trailing: int) -> Tensor:
    return tensor.reshape(tensor.shape[leading : tensor.ndim - trailing])


def _add_ones(tensor: Tensor, leading: int, trailing: int) -> Tensor:
    return tensor.reshape((1,) * leading + tensor.shape + (1,) * trailing)


register_converter('dist', from_released, to_released)
