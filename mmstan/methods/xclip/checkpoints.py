"""X-CLIP's released checkpoints (microsoft's) <-> ours."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from mmstan.converters import openai_clip
from mmstan.converters.hf_clip import map_layer
from mmstan.converters.key_map import Entry, add_prefixes, to_ours, to_theirs
from mmstan.converters.systems import register_converter

MESSAGE = [
    *map_layer('message_fc', 'fc'),
    *map_layer('message_ln', 'norm'),
    Entry('message_attn.in_proj_weight', 'attn.in_proj_weight'),
    Entry('message_attn.in_proj_bias', 'attn.in_proj_bias'),
    *map_layer('message_attn.out_proj', 'attn.out_proj'),
]
"""A block's message token."""

PROMPTING = [
    Entry('prompts_generator.alpha', 'cls_head.prompting.alpha'),
    *add_prefixes(
        [
            *map_layer('norm1', 'ln_1'),
            *map_layer('norm3', 'ln_2'),
            Entry('cross_attn.q_proj.weight', 'query.weight'),
            Entry(('cross_attn.k_proj.weight', 'cross_attn.v_proj.weight'), 'key_value.weight'),
            *map_layer('cross_attn.proj', 'out'),
            *map_layer('mlp.0', 'up'),
            *map_layer('mlp.3', 'down'),
        ],
        theirs='prompts_generator.decoder.{i}.',
        ours='cls_head.prompting.layers.{i}.',
    ),
    Entry('logit_scale', 'cls_head.logit_scale'),
]
"""The prompting, without the norm of the visual context."""

TABLE: dict[str, list[Entry]] = {
    'visual': [
        *add_prefixes(openai_clip.VISUAL, theirs='visual.', ours='backbone.tower.visual.'),
        *add_prefixes(
            MESSAGE, theirs='visual.transformer.resblocks.{i}.', ours='backbone.messages.{i}.'
        ),
    ],
    'mit': [
        Entry('mit.positional_embedding', 'neck.positions'),
        *add_prefixes(openai_clip.BLOCK, theirs='mit.resblocks.{i}.', ours='neck.blocks.{i}.'),
    ],
    'prompts': [
        *map_layer('prompts_visual_ln', 'backbone.context.norm'),
        Entry('prompts_visual_proj', 'backbone.context.proj.weight', 'transpose'),
        *map_layer('prompts_generator.norm', 'cls_head.prompting.norm'),
        *PROMPTING,
    ],
    'text': add_prefixes(openai_clip.TEXT, theirs='', ours='{text_tower}'),
}
"""The map, part by part; ``{text_tower}`` is the place of our model's text tower."""

PARTS = tuple(TABLE)
"""Names of the parts."""


# Next to the weights the files contain a yacs config. `load_file` loads tensors and plain values
# only, and would refuse it. A dict takes its place; no code of yacs is imported or run.
torch.serialization.add_safe_globals([(OrderedDict, 'yacs.config.CfgNode')])


def from_released(
    state: Mapping[str, Any],
    *,
    text_tower: str = 'cls_head.texts.tower.',
    parts: Collection[str] = PARTS,
) -> dict[str, Tensor]:
    """A released state dict, or a file with it under ``'model'``, under our names.

    Args:
        state: The released state dict.
        text_tower: Prefix of our model's text tower.
        parts: Parts that our model has, of :data:`PARTS`; tensors of other parts are dropped. With
            message tokens alone (``XCLIP(context=False)``, ``MeanPool``, ``TextHead``) these are
            ``('visual', 'text')``; without prompts ``('visual', 'mit', 'text')``.

    Raises:
        ValueError: Names every tensor that is missing or left over, and unknown parts.
    """
    return convert_parts(state.get('model', state), TABLE, text_tower, parts)


def to_released(
    state: Mapping[str, Tensor],
    *,
    text_tower: str = 'cls_head.texts.tower.',
    parts: Collection[str] = PARTS,
) -> dict[str, Tensor]:
    """Our state dict under the released names, the inverse of :func:`from_released`."""
    return to_theirs(state, list_entries(TABLE, text_tower, parts))


def convert_parts(
    state: Mapping[str, Tensor],
    table: Mapping[str, list[Entry]],
    text_tower: str,
    parts: Collection[str],
) -> dict[str, Tensor]:
    """``parts`` of a released state dict under our names; other parts are dropped and counted."""
    kept = list_entries(table, text_tower, parts)
    others = list_entries(table, text_tower, set(table) - set(parts))
    # A name up to its first number: `visual.transformer.resblocks.` drops all blocks.
    beginnings = tuple(name.split('{')[0] for entry in others for name in entry.sources)
    dropped = [name for name in state if name.startswith(beginnings)]
    if dropped:
        left_out = ', '.join(part for part in table if part not in parts)
        print_log(f'{len(dropped)} tensors of the parts {left_out} are dropped', 'current')
    return to_ours({k: v for k, v in state.items() if k not in set(dropped)}, kept)


def list_entries(
    table: Mapping[str, list[Entry]], text_tower: str, parts: Collection[str]
) -> list[Entry]:
    """The map of ``parts``.

    Raises:
        ValueError: A part is unknown.
    """
    if unknown := set(parts) - set(table):
        raise ValueError(f'parts={tuple(parts)}: {sorted(unknown)} are not of {tuple(table)}')
    return [
        Entry(entry.theirs, entry.ours.replace('{text_tower}', f'{text_tower}text.'), entry.op)
        for part in table
        if part in parts
        for entry in table[part]
    ]


register_converter('xclip', from_released, to_released)
