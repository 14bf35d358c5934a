"""The boxes of a clip that a detector is trained on.

Letters: g boxes of the ground truth, p proposals, K number of action classes + 1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import box_iou

LEAST_SIDE = 4
"""Pixels of a side; a smaller box is left of one that a crop has cut away."""


def find_whole_boxes(boxes: Tensor) -> Tensor:
    """Boxes (g, 4) in pixels -> which of them are at least 4 pixels wide and high, (g).

    ``RandomCrop`` of MMAction2 clips the boxes to the crop. A box outside of it stays in the
    sample, with its labels and without an area. ``mmstan.RandomBoxCrop`` also empties a box of
    which less than a fifth is left.
    """
    return (boxes[:, 2:] - boxes[:, :2] >= LEAST_SIDE).all(dim=1)


def match_proposals(gt: Tensor, proposals: Tensor) -> tuple[Tensor, Tensor]:
    """Find the best box of the ground truth (g, 4) for each of the proposals (p, 4); g is not 0.

    Returns:
        Their intersection over union (p), and the number of the box (p).
    """
    overlap, owner = box_iou(proposals, gt).max(dim=1)
    return overlap, owner


def train_boxes(
    gt: Tensor, labels: Tensor, proposals: Tensor, iou: float = 0.9, most: int = 32
) -> tuple[Tensor, Tensor]:
    """Choose the boxes of a clip that are trained on, and their labels.

    These are all boxes of the ground truth, then every proposal close to one of them, in their
    order. MMAction2's ``MaxIoUAssignerAVA`` and ``RandomSampler`` choose the same, unless two boxes
    of the ground truth overlap nearly as much: there each keeps its best proposal, whichever is
    the closer one. The negatives that they add have no label and do not reach the loss.

    Args:
        gt: Boxes of the ground truth (g, 4), x1, y1, x2, y2 in pixels.
        labels: Their actions (g, K), 1 for each action and else 0.
        proposals: Boxes of a person detector (p, 4).
        iou: Least intersection over union of a proposal and its best box of the ground truth, whose
            labels it gets.
        most: Most boxes of a clip; of more, a random choice is taken.

    Returns:
        Boxes (n, 4) and labels (n, K).
    """
    if gt.shape[0] and proposals.shape[0]:
        overlap, owner = match_proposals(gt, proposals)
        near = overlap >= iou
        gt = torch.cat([gt, proposals[near]])
        labels = torch.cat([labels, labels[owner[near]]])
    if gt.shape[0] > most:
        chosen = torch.randperm(gt.shape[0], device=gt.device)[:most]
        gt, labels = gt[chosen], labels[chosen]
    return gt, labels
