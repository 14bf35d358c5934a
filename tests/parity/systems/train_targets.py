"""The boxes that are trained on, from ground truth and proposals."""

import re
from typing import Any

import torch
from torch import Tensor

from mmstan.models.detection import match_proposals, train_boxes

INPUTS = ('*.gt_boxes', '*.gt_labels', '*.proposals')
TOLERANCE = 0.0


def outputs(
    meta: dict[str, Any], state: dict[str, Tensor], io: dict[str, Tensor]
) -> dict[str, Tensor]:
    threshold = re.search(r'pos_iou_thr=([\d.]+)', meta['rule'])
    number = re.search(r'num=(\d+)', meta['rule'])
    assert threshold and number
    iou, most = float(threshold[1]), int(number[1])
    ours = {}
    for i in range(meta['images']):
        gt, labels, proposals = (
            io[f'{i}.{name}'] for name in ('gt_boxes', 'gt_labels', 'proposals')
        )
        overlap, owner = match_proposals(gt, proposals)
        ours[f'{i}.max_iou'] = overlap
        ours[f'{i}.assigned'] = torch.where(overlap >= iou, owner + 1, 0)
        ours[f'{i}.boxes'], ours[f'{i}.labels'] = train_boxes(gt, labels, proposals, iou, most)
    return ours
