"""Accuracies of verbs, nouns and actions (EPIC-Kitchens)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmstan.evaluation.finite import holds_nan, sample_name
from mmstan.evaluation.gallery import drop_broken
from mmstan.registry import METRICS

_TASKS = ('action', 'verb', 'noun')  # the best checkpoint is chosen by the first metric


def action_ranks(scores: Tensor, verb: int, noun: int) -> list[int]:
    """Ranks of the true action, verb and noun; 1 is the best.

    Args:
        scores: Probabilities of actions (V, N); row sums are the verbs', column sums the nouns'.
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
    # Every score that is not lower counts as better: ties and NaN make a rank worse, never better.
    return [int((~(x < x[true])).sum()) for x, true in pairs]


@METRICS.register_module()
class VerbNounMetric(BaseMetric):
    """Top-k accuracies of actions, verbs and nouns: ``acc/action_top1``, ``acc/verb_top1``, ...

    Reads the predictions of :class:`mmstan.models.heads.VerbNounHead`. Videos that the data set
    flagged as ``broken`` are left out; ``acc/left_out`` is their number.

    Args:
        topk: The k of the accuracies.
        kwargs: Arguments of MMEngine's metrics.
    """

    default_prefix = 'acc'

    def __init__(self, *, topk: Sequence[int] = (1, 5), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.topk = tuple(topk)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Add a batch of data samples (as dictionaries) with ``pred_score`` and ``gt_label``."""
        for sample in data_samples:
            if sample.get('broken'):  # kept: every rank must have equally many results
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
        """Accuracies of the readable videos, shares between 0 and 1."""
        counted, broken = drop_broken(results, what='the accuracies')
        ranks = torch.tensor([result['ranks'] for result in counted])  # (videos, 3)
        metrics: dict[str, float] = {
            f'{task}_top{k}': (column <= k).double().mean().item()
            for task, column in zip(_TASKS, ranks.T)
            for k in self.topk
        }
        return metrics | dict(left_out=broken) if broken else metrics
