"""Accuracy that leaves broken videos out and says so."""

import logging
from collections.abc import Sequence
from typing import Any

from mmaction.evaluation import AccMetric as _AccMetric
from mmengine.logging import print_log
from torch import Tensor

from mmstan.evaluation.finite import holds_nan, refuse_nan, sample_name
from mmstan.registry import METRICS


@METRICS.register_module()
class AccMetric(_AccMetric):
    """MMAction2's ``AccMetric`` without the videos that the data set flagged as ``broken``.

    They are counted over all ranks: ``acc/left_out`` next to the accuracies, when there are any,
    and a warning that names them. Scores that are NaN are an error, which names their videos.
    """

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Add a batch of data samples (as dictionaries) with ``pred_score`` and ``gt_label``."""
        for sample in data_samples:
            if sample.get('broken'):
                # A place holder: MMEngine drops results where ranks differ in how many they have.
                self.results.append(dict(broken=sample['broken'][0]))
            elif holds_nan(sample['pred_score']):
                self.results.append(dict(nan=sample_name(sample)))
            else:
                _check_label(sample)
                super().process(data_batch, [sample])

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Accuracies of the readable videos."""
        readable = [result for result in results if 'broken' not in result]
        broken = dict(result['broken'] for result in results if 'broken' in result)
        left_out = len(results) - len(readable)
        if not results:
            raise ValueError('the test set is empty: no video, no accuracy')
        if not readable:
            raise ValueError(f'all {left_out} videos are broken, among them {list(broken)[:3]}')
        nan = [result['nan'] for result in readable if 'nan' in result]
        refuse_nan(nan, len(readable), what='the scores')
        metrics = super().compute_metrics(readable)
        if left_out:
            named = '; '.join(f'{name}: {reason}' for name, reason in sorted(broken.items()))
            print_log(
                f'the accuracies leave out {left_out} of {len(results)} videos, which are broken: '
                f'{named}',
                logger='current',
                level=logging.WARNING,
            )
            metrics['left_out'] = left_out
        return metrics


def _check_label(sample: dict[str, Any]) -> None:
    """Raise ValueError for a label that no score stands for: it would count as a mistake."""
    scores, label = sample['pred_score'], sample['gt_label']
    if not isinstance(scores, Tensor) or label.numel() > 1:  # of several models, of several labels
        return
    classes = len(scores)
    if not 0 <= int(label) < classes:
        raise ValueError(
            f'the label {int(label)} of {sample.get("filename", "a video")} is none of the '
            f'{classes} classes, which are 0 to {classes - 1}: correct its line in ann_file'
        )
