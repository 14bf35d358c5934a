"""OpenAI's names of CLIP, which most released video models have, and ours.

Only their prefixes differ: the towers' parameters have open_clip's names, which are OpenAI's, but
CLIP has its text tower at top level.
"""

from __future__ import annotations

from mmstan.converters.hf_clip import map_layer
from mmstan.converters.key_map import Entry, add_prefixes

BLOCK = [
    Entry('attn.in_proj_weight', 'attn.in_proj_weight'),
    Entry('attn.in_proj_bias', 'attn.in_proj_bias'),
    *map_layer('attn.out_proj', 'attn.out_proj'),
    *map_layer('ln_1', 'ln_1'),
    *map_layer('mlp.c_fc', 'mlp.c_fc'),
    *map_layer('mlp.c_proj', 'mlp.c_proj'),
    *map_layer('ln_2', 'ln_2'),
]
"""A transformer block."""

_RESBLOCKS = 'transformer.resblocks.{i}.'

VISUAL = [
    Entry('class_embedding', 'class_embedding'),
    Entry('conv1.weight', 'conv1.weight'),
    Entry('positional_embedding', 'positional_embedding'),
    *map_layer('ln_pre', 'ln_pre'),
    *add_prefixes(BLOCK, theirs=_RESBLOCKS, ours=_RESBLOCKS),
    *map_layer('ln_post', 'ln_post'),
    Entry('proj', 'proj'),
]
"""An image tower, below ``visual.`` on both sides."""

TEXT = [
    Entry('token_embedding.weight', 'token_embedding.weight'),
    Entry('positional_embedding', 'positional_embedding'),
    *add_prefixes(BLOCK, theirs=_RESBLOCKS, ours=_RESBLOCKS),
    *map_layer('ln_final', 'ln_final'),
    Entry('text_projection', 'text_projection'),
]
"""A text tower, at top level in theirs, below ``text.`` in ours."""
