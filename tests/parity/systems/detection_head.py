"""Logits, losses and predictions of the head, from the features of boxes."""

from typing import Any

import torch
from mmaction.structures import ActionDataSample
from mmaction.structures.bbox import bbox2result
from mmengine.structures import InstanceData
from torch import Tensor

from mmstan.models.detection import ActionHead, ActionRoIHead

INPUTS = ('roi_features', 'weight', 'bias', 'labels', 'label_weights', 'predict.boxes_in')


def recorded(meta: dict[str, Any]) -> dict[str, Tensor]:
    return {name: torch.tensor(value) for name, value in meta['losses'].items()}


def build(options: dict[str, Any], io: dict[str, Tensor]) -> ActionRoIHead:
    options = dict(options, in_channels=io['weight'].shape[1])
    options['dropout'] = options.pop('dropout_ratio', 0.0)
    assert options.pop('background_class')  # column 0 is always unused here
    roi_head = ActionRoIHead(dict(options, type='mmstan.ActionHead')).eval()
    roi_head.bbox_head.fc_cls.load_state_dict({name: io[name] for name in ('weight', 'bias')})
    return roi_head


def outputs(
    meta: dict[str, Any], state: dict[str, Tensor], io: dict[str, Tensor]
) -> dict[str, Tensor]:
    roi_head = build(meta['options'], io)
    head: ActionHead = roi_head.bbox_head
    logits = head(io['roi_features'].amax(dim=(2, 3)))
    sample = ActionDataSample(proposals=InstanceData(bboxes=io['predict.boxes_in']))
    # The golden predictions are the first boxes' logits.
    roi_head.forward = lambda *_: logits[: len(io['predict.boxes_in'])]  # type: ignore[method-assign]
    height, width = meta['predict']['img_shape']
    found = roi_head.predict(torch.zeros(()), [sample], (height, width))[0]
    classes = bbox2result(found.bboxes, found.scores, head.num_classes, meta['result']['threshold'])
    rows = [
        torch.cat([torch.from_numpy(of_class), torch.full((len(of_class), 1), number)], dim=1)
        for number, of_class in enumerate(classes, start=1)
    ]
    return {
        'logits': logits,
        'predict.boxes': found.bboxes,
        'predict.scores': found.scores,
        'result.rows': torch.cat(rows),
        'result.count_per_class': torch.tensor([len(of_class) for of_class in classes]),
        **head.loss(logits, io['labels']),
    }
