"""The training loop that goes on in mid-epoch."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from mmengine.dist import get_world_size
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import BatchSampler, DataLoader

from mmstan.datasets.randomness import kept_rng
from mmstan.datasets.reliable import set_epoch
from mmstan.engine.before_training import AlikeCaptions, check_before_training
from mmstan.engine.finite_training import FiniteTraining
from mmstan.registry import LOOPS

_ORDER = 'data_order'  # the key in the message hub, which checkpoints carry


class _Rest:
    """A sampler without its ``first`` indices; its length, the epoch's, stays."""

    def __init__(self, sampler: Any, first: int) -> None:
        self.sampler = sampler
        self.first = first

    def __iter__(self) -> Iterator[int]:
        return islice(iter(self.sampler), self.first, None)

    def __len__(self) -> int:
        return len(self.sampler)


@LOOPS.register_module()
class EpochTrainLoop(EpochBasedTrainLoop):
    """MMEngine's ``EpochBasedTrainLoop`` with three more promises.

    * Resumed from a checkpoint of the middle of an epoch, it goes on behind the batches that were
      seen, which are not decoded. (MMEngine begins the epoch again.) If the number of processes,
      the batch size or the data changed since, it begins the epoch again and says so.
    * Data sets with :class:`~mmstan.datasets.ReliableSamples` learn seed and epoch, and starting
      the data loader draws nothing from the streams that the model draws from.
    * It does not begin where nothing could be learned (:func:`check_before_training`), and ends at
      the first loss that is no number (:class:`FiniteTraining`).
    """

    _epoch: int
    _iter: int

    def __init__(
        self, runner: Runner, dataloader: DataLoader | dict[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(runner, dataloader, **kwargs)
        check_before_training(self)
        for hook in (FiniteTraining, AlikeCaptions):
            if not any(isinstance(each, hook) for each in runner.hooks):
                runner.register_hook(hook())

    def run(self) -> nn.Module:
        """Train, from where the checkpoint left off."""
        self._seen = self._resume_order() if self._iter else 0
        self.runner.message_hub.update_info(_ORDER, self._order())
        return super().run()

    def run_epoch(self) -> None:
        """One epoch, or what is left of it."""
        seen, self._seen = self._seen, 0
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        set_epoch(self.dataloader.dataset, self._epoch, seed=self._seed)
        if seen < len(self.dataloader):
            with self._without(seen):
                with kept_rng():
                    batches = iter(self.dataloader)
                for batch_idx, data_batch in enumerate(batches, start=seen):
                    self.run_iter(batch_idx, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    @property
    def _sampler(self) -> Any:
        return getattr(self.dataloader.batch_sampler, 'sampler', self.dataloader.sampler)

    @property
    def _seed(self) -> int:
        return getattr(self._sampler, 'seed', self.runner.seed)

    def _order(self) -> dict[str, int | None]:
        """What the order of the samples and their division into batches depends on."""
        return dict(
            seed=self._seed,
            samples=len(self.dataloader.dataset),
            batch_size=getattr(self.dataloader.batch_sampler, 'batch_size', None),
            world_size=get_world_size(),
            batches=len(self.dataloader),
        )

    def _resume_order(self) -> int:
        """Take over the seed of the checkpoint's order; how many batches of the epoch were seen."""
        order = self.runner.message_hub.runtime_info.get(_ORDER, {})
        if 'seed' in order and hasattr(self._sampler, 'seed'):
            self._sampler.seed = order['seed']
        seen = self._iter - self._epoch * len(self.dataloader)
        if not seen or order == self._order():
            return seen
        self.runner.logger.warning(
            f'epoch {self._epoch + 1} begins again: the checkpoint was written in its middle with '
            f'{order or "another training loop"}, and this run has {self._order()}'
        )
        self._iter = self._epoch * len(self.dataloader)
        return 0

    @contextmanager
    def _without(self, seen: int) -> Iterator[None]:
        """Leave out the first ``seen`` batches where the indices are drawn, before decoding."""
        batch_sampler = self.dataloader.batch_sampler
        if not seen:
            yield
            return
        if type(batch_sampler) is not BatchSampler:
            raise ValueError(
                f'batch_sampler={type(batch_sampler).__name__} cannot be resumed in mid-epoch, '
                f'only the standard one; resume from a checkpoint of the end of an epoch'
            )
        sampler = batch_sampler.sampler
        batch_sampler.sampler = _Rest(sampler, seen * batch_sampler.batch_size)
        try:
            yield
        finally:
            batch_sampler.sampler = sampler
