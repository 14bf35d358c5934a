"""The toy's dialogue model: a random language model behind the quickstart's STAN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from mmstan.chat import VideoChat
from mmstan.chat.branch_file import TOWER, read_branch
from mmstan.chat.encoder import VideoEncoder
from mmstan.chat.toy.engine import build_engine, save_engine
from mmstan.chat.toy.questions import WORDS, ToyVideo
from mmstan.chat.video_tokens import pool
from mmstan.converters.hf_vision import to_hf_vision

# The quickstart's tower (configs/quickstart/clip_mean.py).
VISION = dict(
    hidden_size=64,
    intermediate_size=256,
    num_hidden_layers=4,
    num_attention_heads=4,
    image_size=32,
    patch_size=8,
    hidden_act='gelu',
)
FRAMES = 8


def save_toy_engine(folder: Path, branch: Mapping[str, Tensor], *, seed: int) -> Path:
    """Save a LLaVA with the tower of a quickstart's STAN and a random language model.

    Args:
        folder: Where to.
        branch: The backbone's state dict.
        seed: Of the random weights.
    """
    tower = {k.removeprefix(TOWER): v for k, v in branch.items() if k.startswith(TOWER)}
    model, processor = build_engine(vision=VISION, words=WORDS, positions=64, seed=seed)
    model.model.vision_tower.load_state_dict(to_hf_vision(tower))
    return save_engine(folder, model, processor)


def load_toy_chat(folder: Path, checkpoint: str | Path, *, seed: int, weight: float) -> VideoChat:
    """A dialogue model of the quickstart's ``checkpoint``, which has not learned to speak.

    Args:
        folder: Where it is saved; it is loaded as any other engine.
        checkpoint: A quickstart STAN.
        seed: Of the random weights.
        weight: The branch's share.
    """
    save_toy_engine(folder, read_branch(checkpoint), seed=seed)
    return VideoChat.from_pretrained(
        folder,
        checkpoint,
        branch_weight=weight,
        num_frames=FRAMES,
        device_map=None,
        local_files_only=True,
    )


def encode_parts(encoder: VideoEncoder, videos: Sequence[ToyVideo]) -> tuple[Tensor, Tensor]:
    """Tokens of the tower and of the branch, each the mean of a video's frames: (N, S, C) twice.

    A mixture of these means is the mean of the frames' mixtures.
    """
    rows = []
    for video in tqdm(videos, desc='videos', mininterval=5):
        rows.append([pool(part, 'mean') for part in encoder.parts(video.path) if part is not None])
    tower, branch = (torch.cat(parts) for parts in zip(*rows))
    return tower, branch
