"""CLIP2Video's checkpoints <-> ours: the temporal difference and alignment blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mmengine.logging import print_log
from torch import Tensor

from mmstan.converters.hf_clip import map_layer
from mmstan.converters.key_map import Entry, add_prefixes, drop_tensors, to_ours, to_theirs
from mmstan.converters.openai_clip import BLOCK
from mmstan.converters.systems import register_converter
from mmstan.methods.clip4clip import checkpoints as clip4clip
from mmstan.wording import check_choice

_TYPES = Entry('type_position_embeddings.weight', 'neck.type_embeddings')
_NORM = map_layer('trans_layernorm', 'neck.difference_norm')
_ATTENTION = add_prefixes(
    BLOCK, theirs='frame2t_attention.resblocks.{i}.', ours='neck.difference_blocks.{i}.'
)
_LINEAR = [Entry('frame2t_projection', 'neck.projection.weight', 'transpose')]
_ALIGNMENT = ('actionClip.', 'weight_center', 'emb_center')  # TAB, a second branch
_TAB = [
    Entry('weight_center', 'head.interaction.parts.1.assignment'),
    Entry('emb_center', 'head.interaction.parts.1.centres'),
    *add_prefixes(BLOCK, theirs='actionClip.resblocks.{i}.', ours='neck.alignment_blocks.{i}.'),
]
PARTS = ('difference', 'alignment')
"""Parts of a released file besides CLIP."""


def from_released(
    state: Mapping[str, Tensor],
    *,
    text_tower: str = 'text_tower.',
    parts: Sequence[str] = ('difference',),
) -> dict[str, Tensor]:
    """A released state dict under our names; see :func:`clip4clip.from_released`.

    Args:
        state: The state dict.
        text_tower: Prefix of our model's text tower.
        parts: Of :data:`PARTS`; both for a model with the alignment block, which is half of the
            released score. Where it is not wanted, the log counts its tensors.
    """
    for part in parts:
        check_choice('parts', part, PARTS)
    left_out = () if 'alignment' in parts else _ALIGNMENT
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(left_out)}
    if len(kept) < len(state):
        print_log(
            f'{len(state) - len(kept)} tensors of the temporal alignment block left out', 'current'
        )
    if not any(name.startswith('frame2t_') for name in kept):
        norm = [name for name in kept if 'trans_layernorm' in name]
        kept = drop_tensors(kept, norm, 'which raw differences do not read')
    return to_ours(kept, _list_entries(kept, text_tower))


def to_released(
    state: Mapping[str, Tensor], *, text_tower: str = 'text_tower.'
) -> dict[str, Tensor]:
    """Our state dict under the released names, the inverse of :func:`from_released`."""
    return to_theirs(state, _list_entries(state, text_tower))


def _list_entries(names: Iterable[str], text_tower: str) -> list[Entry]:
    """CLIP4Clip's map, and the block in the form that is in ``names``, of either side."""
    names = list(names)
    block = [_TYPES]
    if any(name.startswith(('frame2t_attention.', 'neck.difference_blocks.')) for name in names):
        block += [*_NORM, *_ATTENTION]
    elif {'frame2t_projection', 'neck.projection.weight'} & set(names):
        block += [*_NORM, *_LINEAR]
    if {'weight_center', 'head.interaction.parts.1.assignment'} & set(names):
        block += _TAB
    return clip4clip.list_entries(names, text_tower) + block


register_converter('clip2video', from_released, to_released)
