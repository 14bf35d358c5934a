"""ActionCLIP's loss: the videos and texts of a batch match where their labels are the same.

Letters: n videos of a process, B videos of all processes, D joint space.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmaction.structures import ActionDataSample
from mmengine.dist import get_world_size
from torch import Tensor

from mmstan.models.features import need_one
from mmstan.models.heads import TextHead
from mmstan.models.losses.contrastive import gather
from mmstan.registry import MODELS


class _Videos(NamedTuple):
    labels: Tensor
    feats: Tensor


@MODELS.register_module()
class MatchingLabelsHead(TextHead):
    """A :class:`TextHead` that learns to match the videos of a batch with their own texts.

    Each video has the name of its class in a template at random. In both directions the softmax of
    the scores is compared with the labels by the Kullback-Leibler divergence (ActionCLIP Eq. 4-6)::

        loss = (KL(q || softmax over texts) + KL(q || softmax over videos)) / 2
        q    = softmax(10 M), M_ij = 1 where the labels of i and j are the same, else 0

    In the paper q is M, normalised; the released code takes the softmax. Only the texts of the
    batch are encoded, so a text tower may learn. Videos of all processes are compared. At test it
    is a :class:`TextHead`, whose templates are averaged as features; the release averages their
    probabilities.
    """

    def loss(
        self, feats: Tensor, data_samples: Sequence[ActionDataSample], **kwargs: Any
    ) -> dict[str, Tensor]:
        """Features (n, D), or frames (n, T, D) for an interaction -> ``loss_cls``.

        Raises:
            ValueError: The labels are mixed (Mixup, CutMix), or the features are a pair.
        """
        feats = need_one(feats, type(self).__name__)
        labels = torch.stack([sample.gt_label.to(feats.device) for sample in data_samples])
        if labels.flatten(1).shape[1] != 1:
            raise ValueError(
                f'labels {tuple(labels.shape)}: MatchingLabelsHead compares whole labels; take '
                'blending out of data_preprocessor'
            )
        texts = self.texts.draw(labels := labels.flatten())
        all_labels, all_feats, all_texts = labels, feats, texts
        if get_world_size() > 1:
            all_labels, all_feats = gather(_Videos(labels, feats))
            all_texts = gather(texts)
        same = (labels[:, None] == all_labels).float()  # M, (n, B)
        of_videos = diverge(self.compare(feats, all_texts), same)
        of_texts = diverge(self.compare(all_feats, texts).T, same)
        return dict(loss_cls=(of_videos + of_texts) / 2)


def diverge(scores: Tensor, same: Tensor) -> Tensor:
    """Divergence of the softmax of scores (n, B) from the labels' softmax(10 M), mean over rows."""
    target = (10 * same).softmax(dim=1)
    return F.kl_div(scores.log_softmax(dim=1), target, reduction='batchmean')
