"""ActionCLIP's loss: two processes on the CPU learn what one learns from the joined batch."""

from pathlib import Path

import torch
from helpers.gloo_gradients import Case, assert_same_gradients
from helpers.tiny_models import TOWER, WORDS
from mmaction.structures import ActionDataSample


def matching_labels() -> Case:
    """Six videos of three classes, whose texts are compared over both processes."""
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(256, (6, 1, 3, 2, 32, 32), dtype=torch.uint8, generator=generator)
    samples = [
        dict(inputs=clip, data_samples=ActionDataSample().set_gt_label(i % 3))
        for i, clip in enumerate(clips)
    ]
    model = dict(
        type='Recognizer3D',
        backbone=dict(type='mmstan.FrameEncoder', tower=TOWER),
        neck=dict(type='mmstan.MeanPool'),
        cls_head=dict(
            type='mmstan.MatchingLabelsHead',
            class_names=['dancing', 'riding a bike', 'cooking'],
            text_tower=dict(type='mmstan.TextTower', model=WORDS),
            logit_scale=5.0,
        ),
        data_preprocessor=dict(
            type='ActionDataPreprocessor', mean=[127.5] * 3, std=[60.0] * 3, format_shape='NCTHW'
        ),
    )
    return Case(model, samples)


def test_matching_labels(tmp_path: Path) -> None:
    assert_same_gradients(matching_labels, tmp_path)
