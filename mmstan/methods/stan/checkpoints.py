"""STAN's and Mug-STAN's released checkpoints <-> ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from mmstan.converters.hf_clip import BLOCK, TEXT, map_attention, map_layer
from mmstan.converters.key_map import Entry, add_prefixes, to_ours, to_theirs
from mmstan.converters.systems import register_converter

_BRANCH = 'branches.0.'

VIDEO = [
    Entry('class_embedding', 'tower.visual.class_embedding'),
    Entry('patch_embedding.weight', 'tower.visual.conv1.weight'),
    Entry('position_embedding.weight', 'tower.visual.positional_embedding'),
    *map_layer('pre_layrnorm', 'tower.visual.ln_pre'),
    *add_prefixes(BLOCK, theirs='layers.{i}.', ours='tower.visual.transformer.resblocks.{i}.'),
    *map_layer('post_layernorm', 'tower.visual.ln_post'),
    Entry('visual_projection.weight', 'tower.visual.proj', 'transpose'),
    Entry('STAN_time_embed.weight', _BRANCH + 'time_embedding'),
    *add_prefixes(BLOCK, theirs='STAN_S_layers.{i}.', ours=_BRANCH + 'layers.{i}.block.'),
    *add_prefixes(
        [
            *map_layer('layer_norm1', 'norm'),
            *map_attention('self_attn.', 'attn.'),
            *map_layer('temporal_fc', 'temporal_fc'),
        ],
        theirs='STAN_T_layers.{i}.',
        ours=_BRANCH + 'layers.{i}.cross_frame.',
    ),
]
"""The video encoder, below ``backbone.``."""


def from_released(
    state: Mapping[str, Tensor],
    *,
    video: str = 'backbone.',
    text: str = 'text_backbone.',
    text_tower: str = 'text_tower.',
) -> dict[str, Tensor]:
    """A released state dict under our names.

    ``timesFPN_`` in old files is ``STAN_`` in newer ones. Position ids, which are a range, are
    dropped. A file may contain the video encoder alone.

    Args:
        state: The released state dict.
        video: Prefix of its video encoder.
        text: Prefix of its text encoder.
        text_tower: Prefix of our model's text tower: ``'text_tower.'`` in retrieval,
            ``'cls_head.texts.tower.'`` in recognition.

    Raises:
        ValueError: Names every tensor that is missing or left over.
    """
    state = {
        re.sub(r'\btimesFPN_', 'STAN_', name): tensor
        for name, tensor in state.items()
        if not name.endswith('position_ids')
    }
    with_text = any(name.startswith(text) for name in state)
    return to_ours(state, _list_entries(video, text if with_text else None, text_tower))


def to_released(
    state: Mapping[str, Tensor],
    *,
    video: str = 'backbone.',
    text: str = 'text_backbone.',
    text_tower: str = 'text_tower.',
) -> dict[str, Tensor]:
    """Our state dict under the released names, the inverse of :func:`from_released`."""
    with_text = any(name.startswith(text_tower) for name in state)
    return to_theirs(state, _list_entries(video, text if with_text else None, text_tower))


def _list_entries(video: str, text: str | None, text_tower: str) -> list[Entry]:
    """The map of a whole model; of the video encoder alone if ``text`` is None."""
    entries = add_prefixes(VIDEO, theirs=video, ours='backbone.')
    if text is not None:
        entries += add_prefixes(TEXT, theirs=text, ours=text_tower + 'text.')
    return entries


register_converter('stan', from_released, to_released)
