"""Accuracy that leaves broken videos out and says so."""

import logging
from collections.abc import Sequence
from typing import Any

from mmaction.evaluation import AccMetric as _AccMetric
from mmengine.logging import print_log
from torch import Tensor

from mmstan.evaluation.finite import holds_nan, refuse_nan, sample_name
from mmstan.registry import METRICS

_OF_ONE_LABEL = ('top_k_accuracy', 'mean_class_accuracy')


@METRICS.register_module()
class AccMetric(_AccMetric):
    """MMAction2's ``AccMetric`` without the videos that the data set flagged as ``broken``.

    ``acc/left_out`` is the number of broken videos over all ranks, if there are any; a warning
    names them. NaN scores raise an error that names their videos; so do several labels of a video
    (``multi_class``) with accuracies, which take one.
    """

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Add a batch of data samples (as dictionaries) with ``pred_score`` and ``gt_label``."""
        for sample in data_samples:
            if sample.get('broken'):
                # A placeholder: every rank must have equally many results, or MMEngine drops some.
                self.results.append(dict(broken=sample['broken'][0]))
            elif holds_nan(sample['pred_score']):
                self.results.append(dict(nan=sample_name(sample)))
            else:
                self._refuse_several_labels(sample)
                _check_label(sample)
                super().process(data_batch, [sample])

    def _refuse_several_labels(self, sample: dict[str, Any]) -> None:
        """Raise ValueError where the length of a vector of labels would be taken for a class."""
        wrong = [name for name in self.metrics if name in _OF_ONE_LABEL]
        if sample['gt_label'].numel() > 1 and wrong:
            raise ValueError(
                f'{sample.get("filename", "a video")} has a vector of labels (multi_class=True), '
                f"and {', '.join(wrong)} take one label: set metric_list='mean_average_precision' "
                'of mmstan.AccMetric'
            )

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Accuracies of the readable videos, shares between 0 and 1."""
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
    """Raise ValueError for a label without a score, which would count as a wrong prediction."""
    scores, label = sample['pred_score'], sample['gt_label']
    if not isinstance(scores, Tensor) or label.numel() > 1:  # of several models, of several labels
        return
    classes = len(scores)
    if not 0 <= int(label) < classes:
        raise ValueError(
            f'the label {int(label)} of {sample.get("filename", "a video")} is none of the '
            f'{classes} classes, which are 0 to {classes - 1}: correct its line in ann_file'
        )
