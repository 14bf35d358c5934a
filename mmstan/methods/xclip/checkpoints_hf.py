"""Hugging Face's X-CLIP checkpoints (``XCLIPModel``) <-> ours."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor

from mmstan.converters import hf_clip
from mmstan.converters.hf_clip import map_attention, map_layer
from mmstan.converters.key_map import Entry, add_prefixes, to_theirs
from mmstan.converters.systems import register_converter
from mmstan.methods.xclip.checkpoints import PARTS, PROMPTING, convert_parts, list_entries

MESSAGE = [
    *map_layer('message_fc', 'fc'),
    *map_layer('message_ln', 'norm'),
    *map_attention('message_attn.', 'attn.'),
]
"""A block's message token."""

_VISUAL = 'backbone.tower.visual.'
_EMBEDDINGS = 'vision_model.embeddings.'
_LAYERS = 'vision_model.encoder.layers.{i}.'

TABLE: dict[str, list[Entry]] = {
    'visual': [
        Entry(f'{_EMBEDDINGS}class_embedding', f'{_VISUAL}class_embedding'),
        Entry(f'{_EMBEDDINGS}patch_embedding.weight', f'{_VISUAL}conv1.weight'),
        Entry(f'{_EMBEDDINGS}position_embedding.weight', f'{_VISUAL}positional_embedding'),
        *map_layer('vision_model.pre_layernorm', f'{_VISUAL}ln_pre'),
        *add_prefixes(hf_clip.BLOCK, theirs=_LAYERS, ours=f'{_VISUAL}transformer.resblocks.{{i}}.'),
        *add_prefixes(MESSAGE, theirs=_LAYERS, ours='backbone.messages.{i}.'),
        *map_layer('vision_model.post_layernorm', f'{_VISUAL}ln_post'),
        Entry('visual_projection.weight', f'{_VISUAL}proj', 'transpose'),
    ],
    'mit': [
        Entry('mit.position_embedding', 'neck.positions'),
        *add_prefixes(hf_clip.BLOCK, theirs='mit.encoder.layers.{i}.', ours='neck.blocks.{i}.'),
    ],
    'prompts': [
        *map_layer('prompts_visual_layernorm', 'backbone.context.norm'),
        Entry('prompts_visual_projection', 'backbone.context.proj.weight', 'transpose'),
        *map_layer('prompts_generator.layernorm', 'cls_head.prompting.norm'),
        *PROMPTING,
    ],
    'text': add_prefixes(hf_clip.TEXT, theirs='', ours='{text_tower}'),
}
"""The map, part by part, as :data:`mmstan.methods.xclip.checkpoints.TABLE`."""


def from_released(
    state: Mapping[str, Tensor],
    *,
    text_tower: str = 'cls_head.texts.tower.',
    parts: Collection[str] = PARTS,
) -> dict[str, Tensor]:
    """A Hugging Face state dict under our names; see :func:`xclip.from_released`.

    Position ids, which are a range, are dropped.
    """
    state = {name: x for name, x in state.items() if not name.endswith('position_ids')}
    return convert_parts(state, TABLE, text_tower, parts)


def to_released(
    state: Mapping[str, Tensor],
    *,
    text_tower: str = 'cls_head.texts.tower.',
    parts: Collection[str] = PARTS,
) -> dict[str, Tensor]:
    """Our state dict under Hugging Face's names, the inverse of :func:`from_released`."""
    return to_theirs(state, list_entries(TABLE, text_tower, parts))


register_converter('xclip_hf', from_released, to_released)
