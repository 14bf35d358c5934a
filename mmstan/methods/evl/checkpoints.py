"""EVL's released checkpoints <-> ours: the decoder alone, or with a tower that was tuned."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmstan.converters.hf_clip import map_attention, map_layer
from mmstan.converters.key_map import Entry, add_prefixes, to_ours, to_theirs
from mmstan.converters.systems import register_converter

_VISUAL = 'backbone.tower.visual.'
_PATCH = _VISUAL + 'conv1.weight'
_POSITIONS = _VISUAL + 'positional_embedding'
_BIAS = 'backbone.patch_embed.proj.bias'
_UNREAD = re.compile(re.escape(_VISUAL) + r'(ln_post|proj)\b')

DECODER = [
    Entry('decoder.cls_token', 'backbone.query_token'),
    *add_prefixes(
        [
            Entry('decoder.temporal_conv.{i}.weight', 'conv.weight'),
            Entry('decoder.temporal_conv.{i}.bias', 'conv.bias'),
            Entry('decoder.temporal_pos_embed.{i}', 'time_embedding'),
            Entry('decoder.cross_attention.{i}.w1', 'neighbours.previous'),
            Entry('decoder.cross_attention.{i}.w2', 'neighbours.next'),
            *add_prefixes(
                [
                    *map_layer('norm1', 'norm_query'),
                    *map_layer('norm2', 'norm_mlp'),
                    *map_layer('norm3', 'norm_frames'),
                    *map_layer('attn.q_proj', 'attention.query'),
                    *(
                        Entry(
                            (f'attn.k_proj.{kind}', f'attn.v_proj.{kind}'),
                            f'attention.key_value.{kind}',
                        )
                        for kind in ('weight', 'bias')
                    ),
                    *map_layer('attn.out_proj', 'attention.out'),
                    *map_layer('mlp.fc1', 'mlp.0'),
                    *map_layer('mlp.fc2', 'mlp.3'),
                ],
                theirs='decoder.decoder_layers.{i}.',
                ours='',
            ),
        ],
        theirs='',
        ours='backbone.layers.{i}.',
    ),
    *map_layer('proj.0', 'backbone.norm'),
    *map_layer('proj.2', 'cls_head.fc_cls'),
]
"""The decoder and the classifier, in every checkpoint."""

TOWER = [
    Entry('backbone.cls_token', _VISUAL + 'class_embedding'),
    Entry('backbone.pos_embed', _POSITIONS),
    Entry('backbone.patch_embed.proj.weight', _PATCH),
    *map_layer('backbone.ln_pre', _VISUAL + 'ln_pre'),
    *add_prefixes(
        [
            *map_attention('attn.', 'attn.'),
            *map_layer('norm1', 'ln_1'),
            *map_layer('norm2', 'ln_2'),
            *map_layer('mlp.fc1', 'mlp.c_fc'),
            *map_layer('mlp.fc2', 'mlp.c_proj'),
        ],
        theirs='backbone.blocks.{i}.',
        ours=_VISUAL + 'transformer.resblocks.{i}.',
    ),
]
"""A tuned tower, without the last norm and the projection, which the decoder does not read."""


def from_released(state: Mapping[str, Any], *, text_tower: str = '') -> dict[str, Tensor]:
    """A released state dict, or a file with it under ``'model'``, under our names.

    The files contain no frozen tower, and of a tuned one neither the last norm nor the projection:
    our model keeps its ``pretrained`` weights there. Our patch embedding has no bias: the bias of a
    tuned one is added to the positions of the patches, with the same result.

    Args:
        state: The released state dict.
        text_tower: Not read; the model has no text tower.

    Raises:
        ValueError: Names every tensor that is missing or left over.
    """
    state = {k.removeprefix('module.'): v for k, v in state.get('model', state).items()}
    if not any(name.startswith('backbone.') for name in state):
        return to_ours(state, DECODER)
    bias = state.pop(_BIAS, None)
    if bias is None:
        raise ValueError(f'1 tensors missing: {_BIAS}')
    ours = to_ours(state, [*TOWER, *DECODER])
    # Theirs is a linear layer on (3 colours, p, p) pixels: (C, 3 p p) -> (C, 3, p, p).
    pixels = ours[_PATCH].shape[1] // 3
    ours[_PATCH] = ours[_PATCH].unflatten(1, (3, round(pixels**0.5), -1))
    ours[_POSITIONS] = torch.cat([ours[_POSITIONS][:1], ours[_POSITIONS][1:] + bias])
    return ours


def to_released(state: Mapping[str, Tensor], *, text_tower: str = '') -> dict[str, Tensor]:
    """Our state dict under the released names, with the tower if ``state`` has one."""
    state = {name: tensor for name, tensor in state.items() if not _UNREAD.match(name)}
    if not any(name.startswith(_VISUAL) for name in state):
        return to_theirs(state, DECODER)
    state[_PATCH] = state[_PATCH].flatten(1)
    bias = {_BIAS: torch.zeros(len(state[_PATCH]))}
    return {**to_theirs(state, [*TOWER, *DECODER]), **bias}


register_converter('evl', from_released, to_released)
