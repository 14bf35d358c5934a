"""A detector in two processes learns what it learns in one, however the boxes are spread."""

from pathlib import Path

import torch
from helpers.detection import CLASSES, make_sample
from helpers.gloo_gradients import Case, assert_same_gradients
from helpers.tiny_models import TOWER

BOXES = [(2.0, 3.0, 20.0, 30.0), (8.0, 0.0, 28.0, 16.0), (1.0, 1.0, 31.0, 9.0)]


def make_case(*boxes: int) -> Case:
    """A clip for each number of boxes."""
    head = dict(type='mmstan.ActionHead', num_classes=CLASSES, dropout=0.0)
    model = dict(
        type='mmstan.ActionDetector',
        backbone=dict(type='mmstan.STAN', tower=TOWER, levels=(3, 4), drop_path=0.0),
        roi_head=dict(type='mmstan.ActionRoIHead', bbox_head=head),
        data_preprocessor=dict(type='ActionDataPreprocessor', format_shape='NCTHW'),
    )
    clips = torch.randn(len(boxes), 3, 2, 32, 32, generator=torch.Generator().manual_seed(0))
    samples = [
        dict(inputs=clip, data_samples=make_sample(BOXES[:number]))
        for clip, number in zip(clips, boxes)
    ]
    return Case(model=model, samples=samples)


def uneven_boxes() -> Case:
    """Process r of two has the clips r and r + 2: one has four boxes, the other none."""
    return make_case(3, 0, 1, 0)


def test_detection(tmp_path: Path) -> None:
    # A zero layer stands behind the temporal attention at the start.
    assert_same_gradients(uneven_boxes, tmp_path, no_effect=r'\.cross_frame\.(norm|attn)\.')
