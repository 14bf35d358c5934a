"""Detectors, their clips and boxes, of a few thousand parameters."""

from collections.abc import Sequence
from typing import Any

import torch
from helpers.tiny_models import TOWER
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData

from mmstan.models.detection import ActionDetector

CLASSES = 6
"""K: five actions and column 0."""

Boxes = Sequence[Sequence[float]]


def make_detector(backbone: dict[str, Any] | None = None, **changes: Any) -> ActionDetector:
    """A detector without dropout; ``changes`` are arguments of the RoI head."""
    head = dict(type='mmstan.ActionHead', num_classes=CLASSES, dropout=0.0)
    roi_head = dict(dict(type='mmstan.ActionRoIHead', bbox_head=head), **changes)
    return ActionDetector(backbone or dict(type='mmstan.FrameEncoder', tower=TOWER), roi_head)


def make_sample(boxes: Boxes, proposals: Boxes | None = (), **meta: Any) -> ActionDataSample:
    """A key frame; box i does action i + 1. None: the sample has no proposals."""
    labels = torch.eye(CLASSES)[1 : len(boxes) + 1]
    sample = ActionDataSample(metainfo=dict(dict(video_id='film', timestamp=902), **meta))
    sample.gt_instances = InstanceData(bboxes=torch.tensor(boxes).reshape(-1, 4), labels=labels)
    if proposals is not None:
        sample.proposals = InstanceData(bboxes=torch.tensor(proposals).reshape(-1, 4))
    return sample
