"""DRL's checkpoints <-> ours: CLIP4Clip's necks, and the networks of weighted token-wise scores."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from mmstan.converters.hf_clip import map_layer
from mmstan.converters.key_map import Entry, to_ours, to_theirs
from mmstan.converters.systems import register_converter
from mmstan.methods.clip4clip import checkpoints as clip4clip

_WEIGHT_NET = re.compile(
    r'(?:(?:text|video)_weight_fc|head\.interaction\.(?:text|video)_net)\.(?:(\d+)\.)?\w+'
)


def from_released(
    state: Mapping[str, Tensor], *, text_tower: str = 'text_tower.'
) -> dict[str, Tensor]:
    """A released state dict under our names; see :func:`clip4clip.from_released`."""
    return to_ours(clip4clip.drop_unread(state), _list_entries(state, text_tower))


def to_released(
    state: Mapping[str, Tensor], *, text_tower: str = 'text_tower.'
) -> dict[str, Tensor]:
    """Our state dict under the released names, the inverse of :func:`from_released`."""
    return to_theirs(state, _list_entries(state, text_tower))


def _list_entries(names: Iterable[str], text_tower: str) -> list[Entry]:
    names = list(names)
    return clip4clip.list_entries(names, text_tower) + _list_weight_nets(names)


def _list_weight_nets(names: Iterable[str]) -> list[Entry]:
    """The map of both networks; their depth is read from ``names``, of either side.

    In the released files a network of one layer is not a sequence: its name has no number.
    """
    layers = [match[1] for name in names if (match := _WEIGHT_NET.fullmatch(name))]
    if not layers:
        return []
    last = max(int(number or 0) for number in layers)
    return [
        entry
        for side in ('text', 'video')
        for i in range(0, last + 1, 2)  # odd numbers are ReLUs
        for entry in map_layer(
            f'{side}_weight_fc.{i}' if last else f'{side}_weight_fc',
            f'head.interaction.{side}_net.{i}',
        )
    ]


register_converter('drl', from_released, to_released)
