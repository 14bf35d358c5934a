"""A hook that ends validation and tests at scores that are not numbers, for every metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmstan.evaluation.finite import holds_nan, refuse_nan, sample_name
from mmstan.registry import HOOKS


@HOOKS.register_module()
class FiniteScores(Hook):
    """Refuses the metrics if the ``pred_score`` of a sample is NaN or plus infinity.

    mmstan's metrics do so themselves. MMAction2's metrics and others do not: among NaNs they take
    the first class for the best one. A ``ValueError`` counts and names the videos of all processes
    before any metric is logged or a best checkpoint is written.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._names: list[str] = []

    def before_val_epoch(self, runner: Runner) -> None:
        """Count from zero."""
        self._names = []

    before_test_epoch = before_val_epoch

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Look at the predictions of a batch."""
        for sample in outputs or ():
            fields = sample.to_dict() if hasattr(sample, 'to_dict') else sample
            if not isinstance(fields, Mapping) or fields.get('broken'):
                continue
            if holds_nan(fields.get('pred_score')):
                self._names.append(sample_name(fields))

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Look at the predictions of a batch."""
        self.after_val_iter(runner, batch_idx, data_batch, outputs)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Refuse the metrics, on all processes."""
        self._refuse(len(runner.val_dataloader.dataset))

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Refuse the metrics, on all processes."""
        self._refuse(len(runner.test_dataloader.dataset))

    def _refuse(self, total: int) -> None:
        names = [name for part in all_gather_object(self._names) for name in part]
        refuse_nan(names, total, what='the scores')
