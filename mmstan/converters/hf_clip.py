"""Hugging Face's names of CLIP, which STAN's checkpoints have, and open_clip's names."""

from __future__ import annotations

from mmstan.converters.key_map import Entry, add_prefixes


def map_attention(theirs: str, ours: str) -> list[Entry]:
    """Entries of an attention: separate queries, keys and values <-> stacked; the output layer."""
    return [
        Entry(tuple(f'{theirs}{part}_proj.{kind}' for part in 'qkv'), f'{ours}in_proj_{kind}')
        for kind in ('weight', 'bias')
    ] + map_layer(f'{theirs}out_proj', f'{ours}out_proj')


def map_layer(theirs: str, ours: str) -> list[Entry]:
    """Entries of a layer's weight and bias."""
    return [Entry(f'{theirs}.{kind}', f'{ours}.{kind}') for kind in ('weight', 'bias')]


BLOCK = [
    *map_attention('self_attn.', 'attn.'),
    *map_layer('layer_norm1', 'ln_1'),
    *map_layer('layer_norm2', 'ln_2'),
    *map_layer('mlp.fc1', 'mlp.c_fc'),
    *map_layer('mlp.fc2', 'mlp.c_proj'),
]
"""A transformer block."""

TEXT = [
    Entry('text_model.embeddings.token_embedding.weight', 'token_embedding.weight'),
    Entry('text_model.embeddings.position_embedding.weight', 'positional_embedding'),
    *add_prefixes(
        BLOCK, theirs='text_model.encoder.layers.{i}.', ours='transformer.resblocks.{i}.'
    ),
    *map_layer('text_model.final_layer_norm', 'ln_final'),
    Entry('text_projection.weight', 'text_projection', 'transpose'),
]
"""A text tower, below ``text.``."""
