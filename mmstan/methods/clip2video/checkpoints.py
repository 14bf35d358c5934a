"""CLIP2Video's checkpoints <-> ours: the temporal difference block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mmengine.logging import print_log
from torch import Tensor

from mmstan.converters.hf_clip import map_layer
from mmstan.converters.key_map import Entry, add_prefixes, to_ours, to_theirs
from mmstan.converters.openai_clip import BLOCK
from mmstan.converters.systems import register_converter
from mmstan.methods.clip4clip import checkpoints as clip4clip

_TYPES = Entry('type_position_embeddings.weight', 'neck.type_embeddings')
_NORM = map_layer('trans_layernorm', 'neck.difference_norm')
_ATTENTION = add_prefixes(
    BLOCK, theirs='frame2t_attention.resblocks.{i}.', ours='neck.difference_blocks.{i}.'
)
_LINEAR = [Entry('frame2t_projection', 'neck.projection.weight', 'transpose')]
_ALIGNMENT = ('actionClip.', 'weight_center', 'emb_center')  # TAB, a second branch


def from_released(
    state: Mapping[str, Tensor], *, text_tower: str = 'text_tower.'
) -> dict[str, Tensor]:
    """A released state dict under our names; see :func:`clip4clip.from_released`.

    The temporal alignment block, half of the released score, is not built: its tensors are left
    out, and the log counts them.
    """
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(_ALIGNMENT)}
    if len(kept) < len(state):
        print_log(
            f'{len(state) - len(kept)} tensors of the temporal alignment block left out', 'current'
        )
    if not any(name.startswith('frame2t_') for name in kept):  # raw differences: it is not read
        kept = {name: tensor for name, tensor in kept.items() if 'trans_layernorm' not in name}
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
    return clip4clip.list_entries(names, text_tower) + block


register_converter('clip2video', from_released, to_released)
