"""Scores of actions, from the feature of a box.

Letters: n boxes, C channels, K number of action classes + 1: column 0 is no action.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmstan.registry import MODELS


@MODELS.register_module()
class ActionHead(BaseModule):
    """A linear layer on the features of boxes; several actions of a box at once.

    Its parameters have the names of MMAction2's ``BBoxHeadAVA``.

    Args:
        in_channels: C; :class:`ActionDetector` knows it of our backbones.
        num_classes: K: AVA's 80 actions, and column 0, which is not trained.
        dropout: Dropout before the linear layer.
        multilabel: Whether a person does several actions at once; else the scores of a box are a
            softmax.
        focal_alpha: Factor of the focal loss.
        focal_gamma: Exponent of the focal loss; 0 turns it off.
        topk: Numbers k of which recall and precision are logged in training. With few classes,
            numbers k that would take them all are left out.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        num_classes: int = 81,
        dropout: float = 0.5,
        multilabel: bool = True,
        focal_alpha: float = 1.0,
        focal_gamma: float = 0.0,
        topk: Sequence[int] = (3, 5),
    ) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(
                f'num_classes={num_classes}: the number of actions + 1, since column 0 is no action'
            )
        self.in_channels, self.num_classes = in_channels, num_classes
        self.multilabel = multilabel
        self.focal_alpha, self.focal_gamma = focal_alpha, focal_gamma
        self.topk = tuple(k for k in topk if k < num_classes - 1)
        self.dropout = nn.Dropout(dropout)
        self.fc_cls = nn.Linear(in_channels, num_classes)
        nn.init.xavier_normal_(self.fc_cls.weight)
        nn.init.zeros_(self.fc_cls.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Features of boxes (n, C) -> logits (n, K)."""
        return self.fc_cls(self.dropout(features))

    def scores(self, logits: Tensor) -> Tensor:
        """Logits (n, K) -> scores (n, K) in [0, 1]."""
        return logits.sigmoid() if self.multilabel else logits.softmax(dim=1)

    def loss(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """``loss_action_cls``, and recall and precision, which are means over the boxes.

        Args:
            logits: Logits of boxes (n, K).
            labels: Their actions (n, K), 1 for each action and else 0. Boxes without an action and
                column 0 are left out. If no box is left, the loss is 0 and nothing else is logged.
        """
        labelled = labels[:, 1:].sum(dim=1) > 0
        x, target = logits[labelled, 1:], labels[labelled, 1:].to(logits.dtype)
        rows = logits.new_tensor(len(x))
        all_reduce(rows, 'mean')  # of a process on average; each one must call it
        if not len(x):  # with a graph, so that every parameter gets a gradient in each process
            return dict(loss_action_cls=0 * logits.sum())
        with torch.no_grad():
            logged = self._measure(x, target > 0.5)
        if self.multilabel:
            loss = F.binary_cross_entropy_with_logits(x, target, reduction='none')  # (n, K - 1)
        else:
            target = target / target.sum(dim=1, keepdim=True)
            loss = F.cross_entropy(x, target, reduction='none')  # (n)
        # Easy labels, with a small loss, weigh less.
        loss = self.focal_alpha * (1 - torch.exp(-loss)) ** self.focal_gamma * loss
        # The mean over the processes is then the mean over all boxes, however they are spread.
        return dict(logged, loss_action_cls=loss.mean() * (len(x) / rows))

    def _measure(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Recall and precision of logits (n, K - 1) for actions (n, K - 1), by name."""
        scores = self.scores(logits)
        found = {'thr=0.5': scores > 0.5 if self.multilabel else _mark_best(scores, 1)}
        found.update({f'top{k}': _mark_best(scores, k) for k in self.topk})
        measured = {}
        for name, marked in found.items():
            right = (marked & target).sum(dim=1)
            measured[f'recall@{name}'] = (right / target.sum(dim=1)).mean()
            # As in MMAction2: no action found is a precision of 0.
            measured[f'prec@{name}'] = (right / (marked.sum(dim=1) + 1e-6)).mean()
        return measured


def _mark_best(scores: Tensor, k: int) -> Tensor:
    """Scores (n, K) -> which of them are a row's k best, (n, K)."""
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, scores.topk(k)[1], True)
