"""Validation and test loops for metrics that compute scores with the model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Literal

import torch
from mmengine.config import Config
from mmengine.dist import barrier, collect_results, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from mmengine.runner import Runner, TestLoop, ValLoop, autocast
from mmengine.runner.base_loop import BaseLoop
from torch.utils.data import DataLoader

from mmstan.compat.state_dicts import unwrap_model
from mmstan.datasets import count_missing
from mmstan.evaluation import RetrievalMetric
from mmstan.evaluation.gallery import Result, drop_broken, join_gallery, keep_fields
from mmstan.registry import LOOPS, type_name


class _RetrievalLoop(BaseLoop):
    """Common base of the validation and the test loop; it comes before MMEngine's loop."""

    evaluator: Evaluator
    fp16: bool

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict[str, Any],
        evaluator: Evaluator | dict[str, Any] | list[dict[str, Any]],
        *,
        fp16: bool = False,
        bank_dataloader: DataLoader | dict[str, Any] | Literal['train'] | None = None,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, fp16=fp16)  # type: ignore[call-arg]
        self._bank_metrics = [m for m in self._list_retrieval_metrics() if m.wants_bank]
        self._bank_loader: DataLoader | None = None
        if self._bank_metrics and bank_dataloader is None:
            raise ValueError(
                f'qb_norm={self._bank_metrics[0].qb_norm} needs a bank: give bank_dataloader to '
                f"{type(self).__name__}, dict(type='mmstan.{type(self).__name__}', "
                "bank_dataloader='train'), for the training data, or remove qb_norm"
            )
        if self._bank_metrics:
            if bank_dataloader == 'train':
                bank_dataloader = make_training_bank(runner.cfg)
            seed, unequal = runner.seed, runner._randomness_cfg.get('diff_rank_seed', False)
            self._bank_loader = runner.build_dataloader(bank_dataloader, seed, unequal)
        elif bank_dataloader is not None:
            print_log(
                'bank_dataloader is not read, since no metric has qb_norm',
                logger='current',
                level=logging.WARNING,
            )

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Run one batch; before the first batch, give the metrics the model and the bank.

        At that time the weights under test are loaded, EMA weights included.
        """
        if idx == 0:
            self._give_model()
            self._give_bank()
        super().run_iter(idx, data_batch)  # type: ignore[misc]

    def _list_retrieval_metrics(self) -> list[RetrievalMetric]:
        return [m for m in self.evaluator.metrics if isinstance(m, RetrievalMetric)]

    def _give_model(self) -> None:
        model = unwrap_model(self.runner.model)
        for metric in self.evaluator.metrics:
            if hasattr(metric, 'use_model'):
                metric.use_model(model)
        for metric in self._list_retrieval_metrics():
            metric.missing = count_missing(self.dataloader.dataset)

    @torch.no_grad()
    def _give_bank(self) -> None:
        """Encode the bank, a share on each process; the main process's metrics get all of it."""
        if self._bank_loader is None:
            return
        results: list[Result] = []
        for batch in self._bank_loader:
            with autocast(enabled=self.fp16):
                samples: Sequence[Any] = self.runner.model.test_step(batch)
            results.extend(keep_fields(sample.to_dict()) for sample in samples)
        first = self._bank_metrics[0]
        size = len(self._bank_loader.dataset)  # type: ignore[arg-type]
        together = collect_results(results, size, first.collect_device, first.collect_dir)
        barrier()  # rank 0 still reads and removes collect_dir, into which metrics write next
        if not is_main_process():
            return
        bank = join_gallery(drop_broken(together, what='the features of the bank')[0])
        for metric in self._bank_metrics:
            metric.use_bank(bank.text, bank.video)


def make_training_bank(cfg: Config) -> dict[str, Any]:
    """Make the config of a loader: training videos with all captions, through the test pipeline.

    Wrappers that repeat or balance the training data are removed.

    Raises:
        ValueError: There is no training data, or it consists of several data sets, as the test data
            may not either.
    """
    node = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    while 'dataset' in node:
        node = node['dataset']
    if not type_name(node.get('type')).startswith('mmstan.'):
        raise ValueError(
            f"bank_dataloader='train' is for one data set of mmstan, and train_dataloader has "
            f'{node.get("type")}; give the config of a loader'
        )
    loader = cfg.get('test_dataloader') or cfg.val_dataloader
    if 'pipeline' not in loader.dataset:
        raise ValueError(
            "bank_dataloader='train' takes the pipeline of the test set, and "
            f'{type_name(loader.dataset.get("type"))} has none of its own; give the config of a '
            'loader'
        )
    dataset = {'missing': 'report', **node, 'test_mode': True}  # 'report' is the default there
    dataset.pop('pairs', None)
    # The bank must be encoded as the test set is: same transforms, same treatment of broken videos.
    same = {
        key: loader.dataset[key] for key in ('pipeline', 'skip_broken') if key in loader.dataset
    }
    return dict(loader, dataset=dict(dataset, **same))


@LOOPS.register_module()
class RetrievalValLoop(_RetrievalLoop, ValLoop):
    """MMEngine's ``ValLoop`` for metrics that compute scores with the model.

    Metrics with ``use_model(model)`` get the model before the first batch, with EMA weights if it
    has them.

    Args:
        runner: The runner.
        dataloader: One sample per video, with all its captions.
        evaluator: The metrics.
        fp16: Whether the features are computed under autocast; scores never are.
        bank_dataloader: For ``RetrievalMetric(qb_norm=...)``: ``'train'`` for the config's training
            data in test form, or the config of a loader. The bank is encoded again at every run,
            with the current weights, and kept in memory.

    Raises:
        ValueError: A metric needs a bank and there is no ``bank_dataloader``.
    """


@LOOPS.register_module()
class RetrievalTestLoop(_RetrievalLoop, TestLoop):
    """MMEngine's ``TestLoop`` for metrics that compute scores with the model.

    Arguments as in :class:`RetrievalValLoop`.
    """
