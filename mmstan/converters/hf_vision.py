"""Hugging Face's names of CLIP's vision transformer, in dialogue models, and open_clip's."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mmstan.converters.hf_clip import BLOCK, map_layer
from mmstan.converters.key_map import Entry, add_prefixes, to_ours, to_theirs

VISION = [
    Entry('embeddings.class_embedding', 'class_embedding'),
    Entry('embeddings.patch_embedding.weight', 'conv1.weight'),
    Entry('embeddings.position_embedding.weight', 'positional_embedding'),
    *map_layer('pre_layrnorm', 'ln_pre'),
    *add_prefixes(BLOCK, theirs='encoder.layers.{i}.', ours='transformer.resblocks.{i}.'),
    *map_layer('post_layernorm', 'ln_post'),
]
"""A vision transformer without a projection."""


def from_hf_vision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of a ``CLIPVisionModel`` -> open_clip's names, without a prefix.

    Older versions of transformers have all names below ``vision_model.``. Position ids, which are a
    range, are dropped.

    Raises:
        ValueError: Names every tensor that is missing or left over.
    """
    named = {name.removeprefix('vision_model.'): tensor for name, tensor in state.items()}
    kept = {name: tensor for name, tensor in named.items() if not name.endswith('position_ids')}
    return to_ours(kept, VISION)


def to_hf_vision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of :func:`from_hf_vision`; a projection, ``proj``, is dropped."""
    return to_theirs({name: tensor for name, tensor in state.items() if name != 'proj'}, VISION)
