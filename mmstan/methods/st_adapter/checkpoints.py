"""ST-Adapter's released checkpoints <-> ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from mmstan.converters.hf_clip import map_layer
from mmstan.converters.key_map import Entry, add_prefixes, to_ours, to_theirs
from mmstan.converters.openai_clip import VISUAL
from mmstan.converters.systems import register_converter

ADAPTER = [*map_layer('fc1', 'down'), *map_layer('conv', 'conv'), *map_layer('fc2', 'up')]

PLACES = {'adapter_pre_attn': 'attention', 'adapter_pre_mlp': 'mlp'}
"""Their name of an adapter -> ours, the half of the block behind the adapter."""

_UNREAD = 'backbone.tower.visual.proj'


def from_released(state: Mapping[str, Tensor], *, text_tower: str = '') -> dict[str, Tensor]:
    """A released state dict under our names.

    The files do not contain the tower's projection, which ``features='clip'`` does not read: our
    model keeps its own.

    Args:
        state: The released state dict.
        text_tower: Not read; the model has no text tower.

    Raises:
        ValueError: Names every tensor that is missing or left over.
    """
    ours = to_ours(state, _list_entries(state))
    return {k: v.flatten(2) if _is_conv(k) else v for k, v in ours.items()}


def to_released(state: Mapping[str, Tensor], *, text_tower: str = '') -> dict[str, Tensor]:
    """Our state dict under the released names, the inverse of :func:`from_released`."""
    state = {k: v[..., None, None] if _is_conv(k) else v for k, v in state.items() if k != _UNREAD}
    return to_theirs(state, _list_entries(state))


def _list_entries(names: Mapping[str, Tensor]) -> list[Entry]:
    """The map of a model with the adapters in ``names``, of either side."""
    entries = [
        *add_prefixes(
            [entry for entry in VISUAL if entry.ours != 'proj'],
            theirs='',
            ours='backbone.tower.visual.',
        ),
        *map_layer('fc', 'cls_head.fc_cls'),
    ]
    for theirs, ours in PLACES.items():
        pattern = re.compile(rf'resblocks\.(\d+)\.{theirs}\.|adapters\.{ours}\.(\d+)\.')
        found = [match for name in names if (match := pattern.search(name))]
        for k in sorted({match[1] or match[2] for match in found}):  # not in every block
            entries += add_prefixes(
                ADAPTER,
                theirs=f'transformer.resblocks.{k}.{theirs}.',
                ours=f'backbone.adapters.{ours}.{k}.',
            )
    return entries


def _is_conv(name: str) -> bool:
    """Whether ``name`` is an adapter's kernel; theirs has two more dimensions of size 1."""
    return name.startswith('backbone.adapters.') and name.endswith('.conv.weight')


register_converter('st_adapter', from_released, to_released)
