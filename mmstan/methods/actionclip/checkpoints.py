"""ActionCLIP's checkpoints <-> ours: CLIP, and the neck over the frames.

A file has CLIP's state dict under ``'model_state_dict'`` and the neck's state dict under
``'fusion_model_state_dict'``. The names are from the released code, not from a released file.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from mmstan.converters.hf_clip import map_layer
from mmstan.converters.key_map import (
    Entry,
    add_prefixes,
    drop_scale,
    drop_tensors,
    to_ours,
    to_theirs,
)
from mmstan.converters.openai_clip import BLOCK, TEXT, VISUAL
from mmstan.converters.systems import register_converter
from mmstan.methods.clip4clip.checkpoints import SEQUENCE_LSTM

_PARTS = ('model_state_dict', 'fusion_model_state_dict')
_CLIP = 'model_state_dict.'
_FUSION = 'fusion_model_state_dict.module.'
_POSITIONS = 'frame_position_embeddings.weight'
_SCALE = _CLIP + 'logit_scale'
_VISUAL_BLOCK = re.compile(rf'({re.escape(_CLIP)}visual\.transformer\.resblocks\.\d+\.)(net\.)?')

SEQUENCE_TRANSFORMER = [
    Entry(_POSITIONS, 'neck.positions'),
    *add_prefixes(BLOCK, theirs='transformer.resblocks.{i}.', ours='neck.blocks.{i}.'),
]
"""``mmstan.SequenceTransformer``."""

SEQUENCE_CONV = [Entry('shift.weight', 'neck.conv.weight')]
"""``mmstan.SequenceConv``."""

_ENCODER = 'transformer.transformer_enc.'
SEQUENCE_CLASS_TOKEN = [
    Entry('transformer.cls_token', 'neck.class_token'),
    Entry('transformer.pos_embed', 'neck.positions'),
    *map_layer(f'{_ENCODER}norm', 'neck.encoder.norm'),
    *add_prefixes(
        [
            Entry('self_attn.in_proj_weight', 'self_attn.in_proj_weight'),
            Entry('self_attn.in_proj_bias', 'self_attn.in_proj_bias'),
            *(
                entry
                for name in ('self_attn.out_proj', 'linear1', 'linear2', 'norm1', 'norm2')
                for entry in map_layer(name, name)
            ),
        ],
        theirs=_ENCODER + 'layers.{i}.',
        ours='neck.encoder.layers.{i}.',
    ),
]
"""``mmstan.SequenceClassToken``."""

# Beginnings of their names and of ours; the last three necks do not read the positions.
_NECKS = [
    ('transformer.resblocks.', 'neck.blocks.', SEQUENCE_TRANSFORMER),
    ('lstm_visual.', 'neck.lstm.', SEQUENCE_LSTM),
    ('shift.', 'neck.conv.', SEQUENCE_CONV),
    (_ENCODER, 'neck.encoder.', SEQUENCE_CLASS_TOKEN),
]
_WITHOUT_POSITIONS = (SEQUENCE_LSTM, SEQUENCE_CONV, SEQUENCE_CLASS_TOKEN)


def from_released(
    state: Mapping[str, Any], *, text_tower: str = 'cls_head.texts.tower.'
) -> dict[str, Tensor]:
    """A released file under our names.

    Blocks with a shift (``tsm``) become blocks of ``mmstan.TemporalShift``. The table of positions
    is dropped if no transformer reads it. In recognition (below ``cls_head.``) CLIP's learned scale
    is dropped: the released test takes 100, ``TextHead``'s default. The log says what is dropped.
    ``joint`` is not built, so its tensors are left over.

    Args:
        state: The file; or names such as ``'model_state_dict.visual.proj'`` and their tensors.
        text_tower: Prefix of our model's text tower.

    Raises:
        ValueError: Names every tensor that is missing or left over.
    """
    flat = {
        f'{part}.{name}': tensor for part in _PARTS for name, tensor in state.get(part, {}).items()
    } or state
    theirs = {_VISUAL_BLOCK.sub(r'\1', name): tensor for name, tensor in flat.items()}
    neck = _find_neck(theirs)
    if neck in _WITHOUT_POSITIONS:
        theirs = drop_tensors(theirs, {_FUSION + _POSITIONS}, 'which the neck does not read')
    if neck is SEQUENCE_CONV:
        print_log(
            'the released convolution mixes time and channels up, SequenceConv does not: with '
            'these weights it computes something else',
            'current',
            logging.WARNING,
        )
    if text_tower.startswith('cls_head.'):
        theirs = drop_scale(theirs, _SCALE)
    return to_ours(theirs, _list_entries(theirs, text_tower))


def to_released(
    state: Mapping[str, Tensor],
    *,
    text_tower: str = 'cls_head.texts.tower.',
    shift: bool = False,
) -> dict[str, Tensor]:
    """Our state dict under names that :func:`from_released` takes, and its inverse.

    The names begin with the name of one of the file's two state dicts. Tensors that our models lack
    get values without an effect: a scale of 100, a table of positions that is not read.

    Args:
        state: Our state dict.
        text_tower: Prefix of its text tower.
        shift: Name the blocks as in a model with a shift, which our names do not show.

    Raises:
        ValueError: Names every tensor that is missing or left over.
    """
    theirs = to_theirs(state, _list_entries(state, text_tower))
    theirs.setdefault(_SCALE, torch.tensor(math.log(100)))
    if _find_neck(theirs) in _WITHOUT_POSITIONS:
        length, width = (theirs[_CLIP + x] for x in ('positional_embedding', 'text_projection'))
        theirs[_FUSION + _POSITIONS] = torch.zeros(len(length), width.shape[1])
    if not shift:
        return theirs
    return {_VISUAL_BLOCK.sub(r'\1net.', name): tensor for name, tensor in theirs.items()}


def _list_entries(names: Iterable[str], text_tower: str) -> list[Entry]:
    """The map of a model with the neck in ``names``, of either side."""
    names = list(names)
    scale = [] if text_tower.startswith('cls_head.') else [Entry(_SCALE, 'head.logit_scale')]
    return [
        *add_prefixes(VISUAL, theirs=f'{_CLIP}visual.', ours='backbone.tower.visual.'),
        *add_prefixes(TEXT, theirs=_CLIP, ours=f'{text_tower}text.'),
        *scale,
        *add_prefixes(_find_neck(names), theirs=_FUSION, ours=''),
    ]


def _find_neck(names: Iterable[str]) -> list[Entry]:
    """The map of the neck in ``names``, of either side; empty without one."""
    names = list(names)
    for theirs, ours, entries in _NECKS:
        if any(name.startswith((_FUSION + theirs, ours)) for name in names):
            return entries
    return []


register_converter('actionclip', from_released, to_released)
