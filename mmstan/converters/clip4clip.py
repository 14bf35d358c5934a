"""CLIP4Clip's checkpoints (``pytorch_model.bin.N``) <-> ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from mmstan.converters.hf_clip import layer
from mmstan.converters.key_map import Entry, to_ours, to_theirs, with_prefixes
from mmstan.converters.openai_clip import BLOCK, TEXT, VISUAL

_POSITIONS = 'frame_position_embeddings.weight'
_SCALE = Entry('clip.logit_scale', 'head.logit_scale')

SEQUENCE_TRANSFORMER = [
    Entry(_POSITIONS, 'neck.positions'),
    *with_prefixes(BLOCK, theirs='transformerClip.resblocks.{i}.', ours='neck.blocks.{i}.'),
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
    *with_prefixes(BLOCK, theirs='cross.transformer.resblocks.{i}.', ours=_TIGHT + 'blocks.{i}.'),
    *layer('cross.pooler.ln_pool', f'{_TIGHT}norm'),
    *layer('cross.pooler.dense', f'{_TIGHT}pool'),
    *layer('similarity_dense', f'{_TIGHT}out'),
]
"""``mmstan.TightTransformer``."""


def from_released(
    state: Mapping[str, Tensor], *, text_tower: str = 'text_tower.'
) -> dict[str, Tensor]:
    """A released state dict under our names.

    What nothing reads is dropped: seqLSTM's position table, tightTransf's logit scale.

    Args:
        state: The released state dict.
        text_tower: Where our model keeps its text tower.

    Raises:
        ValueError: Names every tensor that is missing or left over.
    """
    return to_ours(without_unread(state), entries(state, text_tower))


def to_released(
    state: Mapping[str, Tensor], *, text_tower: str = 'text_tower.'
) -> dict[str, Tensor]:
    """Our state dict under the released names, the inverse of :func:`from_released`."""
    return to_theirs(state, entries(state, text_tower))


def entries(names: Iterable[str], text_tower: str) -> list[Entry]:
    """The map of a model: towers, scale, and the neck or tight transformer that ``names`` tell.

    The names can be of either side.
    """
    names = list(names)
    neck = []
    scale = [_SCALE]
    if _any_below(names, 'lstm_visual.', 'neck.lstm.'):
        neck = SEQUENCE_LSTM
    elif _any_below(names, 'transformerClip.', 'neck.blocks.'):
        neck = SEQUENCE_TRANSFORMER
    elif _any_below(names, 'cross.', f'{_TIGHT}blocks.'):
        neck, scale = TIGHT_TRANSFORMER, []
    return [
        *with_prefixes(VISUAL, theirs='clip.visual.', ours='backbone.tower.visual.'),
        *with_prefixes(TEXT, theirs='clip.', ours=f'{text_tower}text.'),
        *scale,
        *neck,
    ]


def without_unread(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A released state dict without what its kind of model has and does not read."""
    unread = {_POSITIONS} if _any_below(state, 'lstm_visual.') else set()
    if _any_below(state, 'cross.'):
        unread = {'clip.logit_scale'}
    return {name: tensor for name, tensor in state.items() if name not in unread}


def _any_below(names: Iterable[str], *prefixes: str) -> bool:
    return any(name.startswith(prefixes) for name in names)
