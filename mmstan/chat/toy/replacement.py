"""The toy's second half: a branch is plugged into a dialogue model that has not known it.

The language model learns colours and shapes from the frames' mean alone. Then the tokens become
mixtures with a branch, and nothing is tuned: the papers' zero-shot replacement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from mmstan.chat import VideoChat
from mmstan.chat.encoder import VideoEncoder
from mmstan.chat.toy.questions import ToyVideo
from mmstan.chat.toy.setup import FRAMES, encode_parts
from mmstan.chat.toy.training import score, train
from mmstan.chat.video_tokens import fuse
from mmstan.methods.stan import STAN
from mmstan.methods.stan.branch import STANBranch

QUESTIONS = ('colour', 'shape')
WEIGHTS = (0.25, 0.5)


def make_fresh_encoder(chat: VideoChat, levels: Sequence[int], **options: Any) -> VideoEncoder:
    """An encoder with the tower of ``chat`` and a branch that has learned nothing.

    Its layers are copies of tower blocks, and no frame sees another one.

    Args:
        chat: The dialogue model.
        levels: Tower blocks that the branch reads.
        **options: Of :class:`mmstan.methods.stan.STAN`.
    """
    tower: Any = chat.encoder.backbone.tower
    backbone = STAN(_describe(tower), levels=levels, drop_path=0.0, **options)
    backbone.tower.visual.proj = None  # type: ignore[assignment]  # as in the chat's own tower
    backbone.tower.load_state_dict(tower.state_dict())
    branch = cast(STANBranch, backbone.branches[0])
    branch.copy_blocks(backbone.tower)
    with torch.no_grad():
        branch.time_embedding.zero_()
    return VideoEncoder(backbone.eval(), chat.encoder.image_processor, num_frames=FRAMES)


def _describe(tower: Any) -> dict[str, Any]:
    vision = dict(
        image_size=tower.own_grid[0] * tower.patch_size[0],
        patch_size=tower.patch_size[0],
        layers=len(tower.blocks),
        width=tower.width,
        head_width=tower.width // tower.heads,
    )
    return dict(type='mmstan.ImageTower', model=dict(embed_dim=1, vision_cfg=vision))


def run_replacement(
    chat: VideoChat,
    train_tower: Tensor,
    train_videos: Sequence[ToyVideo],
    test_videos: Sequence[ToyVideo],
    branches: Mapping[str, VideoEncoder],
    *,
    steps: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Teach ``chat`` at w = 0, then answer with branches plugged in.

    Args:
        chat: The dialogue model, which has learned nothing.
        train_tower: The tower's tokens of the training videos (N, S, C).
        train_videos: The training videos.
        test_videos: The videos of the questions.
        branches: Name of a branch -> the encoder that it is part of.
        steps: Steps of training.
        seed: Of the order of videos and questions.

    Returns:
        For each branch and weight the share of right answers to each question, in per cent.
    """
    train(chat, train_tower, train_videos, questions=QUESTIONS, steps=steps, seed=seed)
    rows: list[dict[str, Any]] = []
    for name, encoder in branches.items():
        tower, branch = encode_parts(encoder, test_videos)
        if not rows:
            rows.append({'branch': 'none', 'w': 0.0, **score(chat, tower, test_videos, QUESTIONS)})
        scaled = branch * (tower.norm(dim=-1).mean() / branch.norm(dim=-1).mean())
        for label, tokens in ((name, branch), (f"{name}, scaled to the tower's length", scaled)):
            for weight in WEIGHTS:
                right = score(chat, fuse(tower, tokens, weight), test_videos, QUESTIONS)
                rows.append({'branch': label, 'w': weight, **right})
    return rows
