"""Detectors, their clips and boxes, of a few thousand parameters."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from helpers.tiny_models import TOWER
from mmaction.registry import DATASETS
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData

from mmstan.models.detection import ActionDetector

CLASSES = 6
"""K: five actions and column 0."""

Boxes = Sequence[Sequence[float]]


@DATASETS.register_module()
class RandomKeyframes(torch.utils.data.Dataset):
    """Two clips (3, 2, 32, 32), uint8; of each, one box is whole and one is empty."""

    metainfo: ClassVar[dict[str, Any]] = {}

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict[str, Any]:
        clip = torch.full((3, 2, 32, 32), 40 * index, dtype=torch.uint8)
        sample = make_sample([(2.0, 3, 20, 30), (0.0, 0, 0, 9)], img_shape=(32, 32))
        return dict(inputs=clip, data_samples=sample)


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
