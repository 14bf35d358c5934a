"""Dialogue models of a few thousand parameters, and a branch's checkpoint that fits them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from helpers.tiny_models import shaken

from mmstan.chat.toy.engine import build_engine, save_engine
from mmstan.methods.stan import STAN

VISION = dict(
    hidden_size=64,
    intermediate_size=256,
    num_hidden_layers=4,
    num_attention_heads=4,
    image_size=32,
    patch_size=8,
)
WORDS = (
    *('what', 'happens', 'here', '?', 'which', 'way', 'colour', 'red', 'blue', 'left', 'right'),
    *('it', 'is', 'the', 'a'),
)
GREEDY = dict(temperature=0, max_new_tokens=6)
QUESTION = 'what happens here ?'


def save_tiny_engine(folder: Path, **settings: Any) -> Path:
    """A LLaVA with C=64, M=4, H=48 and random weights."""
    settings = {'vision': VISION, 'words': WORDS, 'width': 48, **settings}
    model, processor = build_engine(**settings)
    # The same weights whichever test asks first.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(11)
        shaken(model)
        model.get_input_embeddings().weight.normal_()  # or every question has the same answer
    return save_engine(folder, model, processor)


def make_branch(layers: int = 3, **options: Any) -> STAN:
    """A STAN that fits the tiny engine; its cross-frame modules see the other frames."""
    sizes = dict(image_size=32, patch_size=8, layers=4, width=64, head_width=16)
    tower = dict(
        type='mmstan.ImageTower', model=dict(embed_dim=16, vision_cfg=sizes, quick_gelu=True)
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(4)
        backbone = STAN(tower, levels=tuple(range(5 - layers, 5)), **options)
        for branch in backbone.branches:
            branch.copy_blocks(backbone.tower)
        for name, parameter in backbone.branches.named_parameters():
            if 'temporal_fc' in name or 'class_token' in name:
                parameter.normal_(std=0.1)
    return backbone


def save_branch(path: Path, backbone: STAN) -> Path:
    """The checkpoint of a retrieval run, as far as the chat reads it."""
    state = {f'backbone.{name}': tensor for name, tensor in backbone.state_dict().items()}
    torch.save({'state_dict': {**state, 'text_tower.x': torch.zeros(1)}}, path)
    return path


def make_frames(count: int = 12, *, seed: int = 0) -> np.ndarray:
    """Frames (T, 40, 48, 3) of noise that differ from each other."""
    return np.random.default_rng(seed).integers(0, 255, (count, 40, 48, 3), np.uint8)
