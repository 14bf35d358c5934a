"""Accuracy of verbs, nouns and actions (EPIC-Kitchens)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmstan.evaluation.finite import holds_nan, sample_name
from mmstan.evaluation.gallery import drop_broken
from mmstan.registry import METRICS

_TASKS = ('action', 'verb', 'noun')  # the first metric is the one by which the best is kept


def action_ranks(scores: Tensor, verb: int, noun: int) -> list[int]:
    """Ranks, from 1, of the true action, verb and noun.

    Args:
        scores: Probabilities of the actions (V, N); their sums are those of the verbs and nouns.
        verb: The true verb.
        noun: The true noun.

    >>> action_ranks(torch.tensor([[0.1, 0.0], [0.3, 0.6]]), 1, 0)
    [2, 1, 2]
    """
    pairs = (
        (scores.flatten(), verb * scores.shape[1] + noun),
        (scores.sum(dim=1), verb),
        (scores.sum(dim=0), noun),
    )
    # Who is not below the true one is before it: of equal scores, or of NaN, nobody profits.
    return [int((~(x < x[true])).sum()) for x, true in pairs]


@METRICS.register_module()
class VerbNounMetric(BaseMetric):
    """Top-k accuracies of actions, verbs and nouns: ``acc/action_top1``, ``acc/verb_top1``, ...

    Reads what :class:`mmstan.models.heads.VerbNounHead` predicts. Videos that the data set flagged
    as ``broken`` are left out and counted, as ``acc/left_out``.

    Args:
        topk: The k.
        kwargs: Of MMEngine's metrics.
    """

    default_prefix = 'acc'

    def __init__(self, *, topk: Sequence[int] = (1, 5), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.topk = tuple(topk)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Add a batch of data samples (as dictionaries) with ``pred_score`` and ``gt_label``."""
        for sample in data_samples:
            if sample.get('broken'):  # kept: MMEngine drops results where ranks differ in number
                self.results.append(dict(video_id=None, broken=sample['broken'][0]))
            elif holds_nan(sample['pred_score']):
                self.results.append(dict(video_id=None, nan=sample_name(sample)))
            else:
                verb, noun = sample['gt_label'].tolist()
                verbs, nouns = sample['pred_score'].shape
                if not (0 <= verb < verbs and 0 <= noun < nouns):
                    raise ValueError(
                        f'verb {verb} and noun {noun} of {sample.get("filename", "a video")} must '
                        f'be below {verbs} and {nouns}: correct their row in ann_file'
                    )
                ranks = action_ranks(sample['pred_score'], verb, noun)
                self.results.append(dict(video_id=None, ranks=ranks))

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Accuracies, shares of one, of the readable videos."""
        counted, broken = drop_broken(results, what='the accuracies')
        ranks = torch.tensor([result['ranks'] for result in counted])  # (videos, 3)
        metrics: dict[str, float] = {
            f'{task}_top{k}': (column <= k).double().mean().item()
            for task, column in zip(_TASKS, ranks.T)
            for k in self.topk
        }
        return metrics | dict(left_out=broken) if broken else metrics
