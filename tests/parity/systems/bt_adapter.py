"""BT-Adapter is STAN with a class token of its own and gates, from the released state dict.

``chat*`` are the tokens of a video for a dialogue model: our function's. ``chat_release*`` is the
released chat code, which halves the frames of every clip; :func:`run_halved` repeats it with our
layers, so that the difference is that halving and nothing else. mmstan itself has no such option.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmstan.chat.video_tokens import fuse, pool
from mmstan.methods.bt_adapter import checkpoints as bt_adapter
from mmstan.methods.stan import STAN
from mmstan.models.backbones.base import clip_to_images

INPUTS = ('video.*',)


def build(meta: Mapping[str, Any], state: Mapping[str, Tensor], cut: int = 0) -> STAN:
    """The case's backbone with its weights; ``cut`` leaves out as many last blocks and layers."""
    depth, count = meta['layers'], meta['depth']
    vision = {key: meta[key] for key in ('image_size', 'patch_size', 'width')}
    vision |= dict(layers=depth - cut, head_width=meta['width'] // meta['heads'])
    quick_gelu = meta['activation'] == 'quick_gelu'
    sizes = dict(embed_dim=meta['joint_dim'], quick_gelu=quick_gelu, vision_cfg=vision)
    backbone = STAN(
        dict(type='mmstan.ImageTower', model=sizes),
        levels=tuple(range(depth - count + 1, depth - cut + 1)),
        max_frames=len(state[f'{meta["prefix"]}btadapter_time_embed.weight']),
        class_token='own',
        gates=True,
    )
    ours = bt_adapter.from_released(state, video=meta['prefix'])
    ours = {name.removeprefix('backbone.'): tensor for name, tensor in ours.items()}
    if cut:  # the last blocks and layers are not read for a level before the last one
        ours = {name: tensor for name, tensor in ours.items() if name in backbone.state_dict()}
    backbone.load_state_dict(ours)
    return backbone.eval()


def to_patch_major(branch: Tensor) -> Tensor:
    """Tokens (N, T, 1 + L, C) of the branch -> (N, 1 + L*T, C), all frames of a patch in a row."""
    patches = branch[:, :, 1:].transpose(1, 2).flatten(1, 2)
    return torch.cat([branch[:, 0, :1], patches], dim=1)


def to_chat(tower: Tensor, branch: Tensor) -> Tensor:
    tokens = fuse(tower, branch, 0.5)
    return pool(tokens, 'mean', class_token='last')


def run_halved(backbone: STAN, video: Tensor) -> Tensor:
    """The released chat's tokens of a clip of T frames, whose branch counts T // 2 of them."""
    images, t = clip_to_images(video), video.shape[2]
    outputs = {k: x[None] for k, x in backbone._run_tower(images, only_cls=False).items()}
    tower = outputs[len(backbone.tower.blocks)]
    if t > 64:  # pairs of frames are averaged
        outputs = {k: x.unflatten(1, (t // 2, 2)).mean(2) for k, x in outputs.items()}
    branch, grid = backbone.branches[0], backbone.tower.grid(images)
    embedding = backbone.tower.class_embedding, backbone.tower.positions(grid)

    def regroup(patches: Tensor) -> Tensor:
        """(1, T, L, C) -> (1, T/2, L*2, C): a patch of the second half joins the first half's."""
        halves = patches.unflatten(1, (-1, t // 2))
        return halves.transpose(1, 2).flatten(2, 3)

    cls, patches = branch._start(outputs[branch.levels[0]], *embedding, grid)
    patches = regroup(patches)
    for k, (layer, level) in enumerate(zip(branch.layers, branch.levels)):
        if k:
            x = outputs[level]
            cls = branch._add_level(cls, x[:, :, 0].mean(dim=1, keepdim=True))
            patches = branch._add_level(patches, regroup(x[:, :, 1:]))
        cls, patches = layer(cls, patches, grid, False)
    # (1, T/2, L*h, C) -> the frames' mean (1, L, C), with h halves.
    mean = patches.unflatten(2, (-1, tower.shape[2] - 1)).mean(dim=(1, 2))
    return to_chat(tower.mean(1, keepdim=True), torch.cat([cls, mean], dim=1)[:, None])


def outputs(
    meta: dict[str, Any], state: dict[str, Tensor], io: dict[str, Tensor]
) -> dict[str, Tensor]:
    whole, cut = build(meta, state), build(meta, state, cut=1)
    ours = dict(frame_features=whole(io['video']))
    for level, backbone in ((-1, whole), (-2, cut)):
        tower, branch = backbone.parts(io['video'])
        ours |= {f'tower.{level}': tower, f'branch.{level}': to_patch_major(branch)}
    ours['chat'] = to_chat(*cut.parts(io['video']))
    for name in io:
        if match := re.fullmatch(r'chat\.(\d+_frames)', name):
            ours[name] = to_chat(*cut.parts(io[f'video.{match[1]}']))
        elif match := re.fullmatch(r'chat_release\.(\d+_frames)', name):
            ours[name] = run_halved(cut, io[f'video.{match[1]}'])
    return ours
