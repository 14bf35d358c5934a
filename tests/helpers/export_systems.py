"""A tiny model of each kind, to export: every backbone, with heads and interactions."""

from typing import Any

import numpy as np
import torch
from helpers.tiny_models import COCA, WORDS, shaken
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope

from mmstan.apis.description import ModelDescription
from mmstan.apis.video_model import VideoModel
from mmstan.registry import MODELS

D, FRAMES, SIZE = 16, 4, 32
# Several, since the cosine of a few scores is a poor measure.
NAMES = ['dancing', 'riding a bike', 'singing', 'cooking', 'running', 'a dog', 'diving', 'reading']
# As wide as the image tower: 8 bits are too few for narrower ones.
TEXT = dict(
    type='mmstan.TextTower',
    model=dict(WORDS, text_cfg=dict(WORDS['text_cfg'], width=32, heads=2)),
)
PAIRS = [f'{verb} {noun}' for verb in NAMES for noun in ('cup', 'hat')]
NAMED = dict(type='mmstan.TextHead', class_names=NAMES, text_tower=TEXT)
# MMAction2's linear layer, and its widths where a backbone leaves the joint space.
LINEAR = dict(type='TimeSformerHead', num_classes=len(NAMES), in_channels=D)
POOLED = dict(type='mmstan.MeanPool')


def make_tower(model: dict[str, Any] = WORDS, layers: int = 1, **more: Any) -> dict[str, Any]:
    vision = dict(model['vision_cfg'], layers=layers)
    return dict(type='mmstan.ImageTower', model=dict(model, vision_cfg=vision), **more)


DIST = dict(
    type='mmstan.DiST', gamma=2, num_frames=2, width=32, temporal_width=16, frame_features=True
)
# Backbone, neck, head of recognizers: each backbone, each head.
RECOGNIZERS: dict[str, tuple[dict[str, Any], dict[str, Any] | None, dict[str, Any]]] = {
    'xclip': (
        dict(type='mmstan.XCLIP', tower=make_tower()),
        dict(type='mmstan.MultiFrameIntegration', width=D, num_frames=FRAMES, heads=2),
        dict(NAMED, type='mmstan.PromptedTextHead', heads=2),
    ),
    'dist': (
        dict(DIST, tower=make_tower(frozen=True)),
        None,
        dict(NAMED, type='mmstan.FusedTextHead'),
    ),
    'evl': (
        dict(type='mmstan.EVL', layers=1, num_frames=FRAMES, image_size=SIZE, tower=make_tower()),
        POOLED,
        dict(LINEAR, in_channels=32),
    ),
    'st_adapter': (
        dict(type='mmstan.STAdapter', hidden=8, before=('attention',), tower=make_tower()),
        POOLED,
        dict(type='mmstan.VerbNounHead', verb=NAMED, noun=dict(NAMED, class_names=['cup', 'hat'])),
    ),
    'tubes': (dict(type='mmstan.TubePatches', tower=make_tower()), POOLED, LINEAR),
    'shift': (dict(type='mmstan.TemporalShift', tower=make_tower()), POOLED, NAMED),
    'joint': (
        dict(type='mmstan.JointSpaceTime', num_frames=FRAMES, tower=make_tower()),
        POOLED,
        LINEAR,
    ),
    'divided': (
        dict(type='mmstan.DividedSpaceTime', num_frames=FRAMES, tower=make_tower()),
        POOLED,
        LINEAR,
    ),
}
# Backbone, neck, interaction of retrieval models. A neck reads the mask of the frames.
RETRIEVAL: dict[str, tuple[dict[str, Any], dict[str, Any] | None, dict[str, Any]]] = {
    'mug_stan': (
        dict(type='mmstan.STAN', levels=(1, 2), tower=make_tower(layers=2)),
        None,
        dict(type='mmstan.Mug', sharpness=5.0),
    ),
    'sequence': (
        dict(type='mmstan.FrameEncoder', tower=make_tower(COCA)),
        dict(type='mmstan.SequenceTransformer', width=D, heads=2, layers=1),
        dict(type='mmstan.Cosine'),
    ),
}
SYSTEMS = (*RECOGNIZERS, *RETRIEVAL)
WITH_TEXTS = ('shift', 'mug_stan')
"""Systems whose text part is exported, too; the towers of the others are the same."""


def make_config(system: str) -> dict[str, Any]:
    """The config of a system's model."""
    # Numbers of three channels that differ, so that an order of colours shows.
    preprocessor = dict(
        type='ActionDataPreprocessor',
        mean=[120.0, 110.0, 100.0],
        std=[60.0, 55.0, 50.0],
        format_shape='NCTHW',
    )
    if system in RECOGNIZERS:
        backbone, neck, head = RECOGNIZERS[system]
        parts = dict(backbone=backbone, neck=neck, cls_head=head)
        parts = {name: part for name, part in parts.items() if part is not None}
        return dict(type='Recognizer3D', data_preprocessor=preprocessor, **parts)
    backbone, neck, interaction = RETRIEVAL[system]
    return dict(
        type='mmstan.VideoTextModel',
        backbone=backbone,
        neck=neck,
        text_tower=TEXT,
        head=dict(type='mmstan.RetrievalHead', interaction=interaction),
        text_length=8,
        data_preprocessor=preprocessor,
    )


def make_model(system: str) -> VideoModel:
    """A system with random weights, in use."""
    init_default_scope('mmaction')
    config = ConfigDict(make_config(system))
    torch.manual_seed(0)
    model = shaken(MODELS.build(config))
    retrieval = system in RETRIEVAL
    sampler = dict(type='mmstan.SampleSegments', num_frames=FRAMES, test_mode=True)
    more: Any = dict(algorithm_keys=('frame_mask',)) if retrieval else {}
    pipeline = [
        dict(type='mmstan.ReadFrames', sampler=sampler),
        dict(type='Resize', scale=(-1, SIZE)),
        dict(type='CenterCrop', crop_size=SIZE),
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs', meta_keys=(), **more),
    ]
    description = ModelDescription(
        config,
        dict(val=pipeline, test=pipeline),
        None if retrieval else PAIRS if system == 'st_adapter' else NAMES,
        'retrieval' if retrieval else 'recognition',
        system,
    )
    return VideoModel(model, description, workers=0)


def draw_videos(count: int) -> list[np.ndarray]:
    """Frames (T, H, W, 3) of noise, each video of another length."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (8 + i, 36, 48, 3), dtype=np.uint8) for i in range(count)]
