"""CLIP4Clip's checkpoints (``pytorch_model.bin.N``) <-> ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from mmstan.converters.hf_clip import map_layer
from mmstan.converters.key_map import Entry, add_prefixes, drop_tensors, to_ours, to_theirs
from mmstan.converters.openai_clip import BLOCK, TEXT, VISUAL
from mmstan.converters.systems import register_converter

_POSITIONS = 'frame_position_embeddings.weight'
_SCALE = Entry('clip.logit_scale', 'head.logit_scale')
_PATCHES, _TUBES = 'clip.visual.conv1.weight', 'clip.visual.conv2.weight'

SEQUENCE_TRANSFORMER = [
    Entry(_POSITIONS, 'neck.positions'),
    *add_prefixes(BLOCK, theirs='transformerClip.resblocks.{i}.', ours='neck.blocks.{i}.'),
]
"""``mmstan.SequenceTransformer``."""

SEQUENCE_LSTM = [
    Entry(f'lstm_visual.{name}_l0', f'neck.lstm.{name}_l0')
    for name in ('weight_ih', 'weight_hh', 'bias_ih', 'bias_hh')
]
"""``mmstan.SequenceLSTM``."""

_TIGHT = 'head.interaction.'
TIGHT_TRANSFORMER = [
    Entry('cross.embeddings.position_embeddings.weight', f'{_TIGHT}positions'),
    *add_prefixes(BLOCK, theirs='cross.transformer.resblocks.{i}.', ours=_TIGHT + 'blocks.{i}.'),
    *map_layer('cross.pooler.ln_pool', f'{_TIGHT}norm'),
    *map_layer('cross.pooler.dense', f'{_TIGHT}pool'),
    *map_layer('similarity_dense', f'{_TIGHT}out'),
]
"""``mmstan.TightTransformer``."""

_SLICES = (f'{_TUBES}.before', _PATCHES, f'{_TUBES}.after')
TUBE_PATCHES = [
    Entry(_SLICES[0], 'backbone.before.weight'),
    Entry(_SLICES[2], 'backbone.after.weight'),
]
"""``mmstan.TubePatches``: a kernel over three frames, in slices; the middle one is the tower's."""


def from_released(
    state: Mapping[str, Tensor], *, text_tower: str = 'text_tower.'
) -> dict[str, Tensor]:
    """A released state dict under our names.

    Tensors that are not read are dropped and logged: seqLSTM's position table, tightTransf's logit
    scale, and the patch embedding of one frame if there is one over three frames.

    Args:
        state: The released state dict.
        text_tower: Prefix of our model's text tower.

    Raises:
        ValueError: Names every tensor that is missing or left over.
    """
    state = drop_unread(state)
    if _TUBES in state:
        state = drop_tensors(state, {_PATCHES}, f'the middle frame of {_TUBES} takes its place')
        slices = state.pop(_TUBES).unbind(2)  # (C, 3 colours, 3 frames, p, p)
        state |= {name: x.contiguous() for name, x in zip(_SLICES, slices, strict=True)}
    return to_ours(state, _list_with_tubes(state, text_tower))


def to_released(
    state: Mapping[str, Tensor], *, text_tower: str = 'text_tower.'
) -> dict[str, Tensor]:
    """Our state dict under the released names, the inverse of :func:`from_released`."""
    theirs = to_theirs(state, _list_with_tubes(state, text_tower))
    if _SLICES[0] in theirs:
        theirs[_TUBES] = torch.stack([theirs[name] for name in _SLICES], dim=2)
    # The patches of one frame stay, as in the released files.
    return {k: v for k, v in theirs.items() if k == _PATCHES or k not in _SLICES}


def list_entries(names: Iterable[str], text_tower: str) -> list[Entry]:
    """The map of a model: towers, scale, and the neck or tight transformer in ``names``.

    The names can be of either side.
    """
    names = list(names)
    neck = []
    scale = [_SCALE]
    if _has_any_below(names, 'lstm_visual.', 'neck.lstm.'):
        neck = SEQUENCE_LSTM
    elif _has_any_below(names, 'transformerClip.', 'neck.blocks.'):
        neck = SEQUENCE_TRANSFORMER
    elif _has_any_below(names, 'cross.', f'{_TIGHT}blocks.'):
        neck, scale = TIGHT_TRANSFORMER, []
    return [
        *add_prefixes(VISUAL, theirs='clip.visual.', ours='backbone.tower.visual.'),
        *add_prefixes(TEXT, theirs='clip.', ours=f'{text_tower}text.'),
        *scale,
        *neck,
    ]


def _list_with_tubes(names: Iterable[str], text_tower: str) -> list[Entry]:
    """:func:`list_entries`, and the slices of patches over three frames if ``names`` have them."""
    names = list(names)
    tubes = _has_any_below(names, f'{_TUBES}.', 'backbone.before.', 'backbone.after.')
    return list_entries(names, text_tower) + (TUBE_PATCHES if tubes else [])


def drop_unread(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A released state dict without the tensors that its kind of model does not read."""
    if _has_any_below(state, 'cross.'):
        return drop_tensors(state, {'clip.logit_scale'}, 'which a tight transformer does not read')
    unread = {_POSITIONS} if _has_any_below(state, 'lstm_visual.') else set()
    return drop_tensors(state, unread, 'which an LSTM does not read')


def _has_any_below(names: Iterable[str], *prefixes: str) -> bool:
    return any(name.startswith(prefixes) for name in names)


register_converter('clip4clip', from_released, to_released)
