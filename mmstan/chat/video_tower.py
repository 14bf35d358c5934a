"""A dialogue model's own vision tower, cut at its feature layer, with a branch next to it.

Letters: K layers of a branch, M blocks of the tower, C its width, L patches.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmstan.chat.branch_file import (
    BLOCK,
    LAYER,
    TOWER,
    check_sizes,
    choose_levels,
    read_facts,
)
from mmstan.chat.video_tokens import feature_block
from mmstan.compat.misfits import find_problems, list_problems
from mmstan.converters.hf_vision import from_hf_vision
from mmstan.methods.stan import STAN
from mmstan.models.backbones import FrameEncoder

# Above this share of the largest weight, two towers are of different training.
_SAMETOWER = 1e-3


def video_tower(
    vision_config: Any,
    state: Mapping[str, Tensor],
    *,
    branch: Mapping[str, Tensor],
    feature_layer: int = -2,
    levels: Sequence[int] | None = None,
) -> STAN:
    """The dialogue model's tower up to its feature layer, and the layers of a branch up to there.

    ``STAN.parts`` of the result gives the tower's ``hidden_states[feature_layer]`` and the branch's
    tokens at the same level. Blocks, layers and the projection behind that level are not built.
    The branch has the released structure. Variants that no name tells (``first_class='mean'``,
    ``intra_first``, ``intra_frame='joint'``) are not recognised.

    Args:
        vision_config: A ``CLIPVisionConfig``.
        state: State dict of the dialogue model's vision tower, with Hugging Face's names.
        branch: State dict of a backbone, as :func:`mmstan.chat.branch_file.read_branch` gives it.
        feature_layer: The dialogue model's ``vision_feature_layer``.
        levels: Tower blocks that the branch's K layers read; by default the last K of M.

    Raises:
        ValueError: Widths, numbers of blocks or names do not fit.
    """
    depth = vision_config.num_hidden_layers
    block = feature_block(feature_layer, depth)
    facts = read_facts(branch)
    check_sizes(facts, vision_config)
    levels = choose_levels(facts, levels, depth, block)
    backbone = STAN(
        _describe_tower(vision_config, block),
        levels=levels,
        networks=facts.networks,
        max_frames=facts.max_frames,
        drop_path=0.0,
        class_token='own' if 'branches.0.class_token' in branch else 'tower',
        gates='branches.0.level_gate' in branch,
    )
    own = _convert_tower(vision_config, state)
    _compare_towers(own, branch)
    part = {name: x for name, x in branch.items() if name.startswith('branches.')}
    # Layers behind the feature layer have no place in the cut tower.
    behind = {n for n in part if (m := LAYER.match(n)) and int(m[1]) >= len(levels)}
    if behind:
        print_log(f'{len(behind)} tensors of layers behind block {block} are not read', 'current')
    part = {name: x for name, x in part.items() if name not in behind}
    _fill(backbone, {**_cut_tower(own, block), **part})
    return backbone


def frame_tower(
    vision_config: Any, state: Mapping[str, Tensor], *, feature_layer: int = -2
) -> FrameEncoder:
    """The tower of :func:`video_tower` without a branch: ``tokens`` are ``hidden_states``."""
    block = feature_block(feature_layer, vision_config.num_hidden_layers)
    backbone = FrameEncoder(_describe_tower(vision_config, block))
    _fill(backbone, _cut_tower(_convert_tower(vision_config, state), block))
    return backbone


def _describe_tower(config: Any, block: int) -> dict[str, Any]:
    """Config of an image tower of the sizes of a ``CLIPVisionConfig``, up to ``block``."""
    if config.hidden_act not in ('gelu', 'quick_gelu') or config.layer_norm_eps != 1e-5:
        raise ValueError(
            f"the engine's tower has hidden_act='{config.hidden_act}' and layer_norm_eps="
            f"{config.layer_norm_eps}: 'quick_gelu' or 'gelu' and 1e-05, CLIP's, are taken"
        )
    vision = dict(
        image_size=config.image_size,
        patch_size=config.patch_size,
        layers=block,
        width=config.hidden_size,
        head_width=config.hidden_size // config.num_attention_heads,
        mlp_ratio=config.intermediate_size / config.hidden_size,
    )
    # The joint space is not read; its projection is taken out once the tower is built.
    quick_gelu = config.hidden_act == 'quick_gelu'
    model = dict(embed_dim=1, vision_cfg=vision, quick_gelu=quick_gelu)
    return dict(type='mmstan.ImageTower', model=model)


def _convert_tower(config: Any, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The engine's vision weights under the backbone's names, all M blocks."""
    if any(tensor.is_meta for tensor in state.values()):
        raise ValueError(
            "the engine's vision tower is not in memory (device_map has offloaded it): give a "
            'device_map that places model.vision_tower'
        )
    return {TOWER + name: tensor for name, tensor in from_hf_vision(state).items()}


def _cut_tower(tower: Mapping[str, Tensor], block: int) -> dict[str, Tensor]:
    """The tensors of a tower without the blocks behind ``block``."""
    return {n: x for n, x in tower.items() if not ((m := BLOCK.match(n)) and int(m[1]) >= block)}


def _compare_towers(own: Mapping[str, Tensor], branch: Mapping[str, Tensor]) -> None:
    """Log how far the tower that the branch was trained next to is from the engine's."""
    both = [n for n in own if n in branch and own[n].shape == branch[n].shape]
    if not both:
        return
    largest = max(own[name].float().abs().max().item() for name in both)
    away = max((own[n].float().cpu() - branch[n].float()).abs().max().item() for n in both)
    share = away / largest
    # Rounding to the engine's type is no other training.
    rounding = max(torch.finfo(own[name].dtype).eps for name in both)
    far = share > max(_SAMETOWER, rounding)
    text = f"the engine's tower and the branch's own differ by {share:.1e} of the largest weight"
    if far:
        text += ': the branch was trained next to another tower, and may not fit this one'
    print_log(text, 'current', logging.WARNING if far else logging.INFO)


def _fill(backbone: Any, state: Mapping[str, Tensor]) -> None:
    """Load a whole state dict into a backbone without a projection, strictly."""
    visual: nn.Module = backbone.tower.visual
    visual.proj = None  # type: ignore[assignment]
    problems = find_problems(backbone, backbone.state_dict(), state)
    if problems:
        raise ValueError(f'the branch does not fit: {list_problems(problems)}')
    backbone.load_state_dict(state)
    backbone.eval().requires_grad_(False)
