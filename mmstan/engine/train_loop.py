"""A training loop that resumes in mid-epoch, and that signals can stop."""

from __future__ import annotations

import signal
from typing import Any, NoReturn

from mmengine.dist import all_gather_object, barrier
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from mmstan.datasets.randomness import keep_rng
from mmstan.datasets.reliable import set_epoch
from mmstan.engine.before_training import AlikeCaptions, check_before_training
from mmstan.engine.clip_rate import ClipRate
from mmstan.engine.epoch_batches import (
    describe_order,
    find_sampler,
    refuse_sampler,
    skip_batches,
    tell_sizes,
)
from mmstan.engine.epoch_order import Order, find_place
from mmstan.engine.finite_scores import FiniteScores
from mmstan.engine.finite_training import FiniteTraining, list_wrappers
from mmstan.engine.prepare_resume import PrepareResume
from mmstan.engine.save_rng import SaveRNG
from mmstan.engine.stop_checkpoint import leave_validation, save_stop_checkpoint
from mmstan.engine.stop_signals import StopSignals
from mmstan.registry import LOOPS

# Keys in the message hub, which checkpoints carry.
_ORDER = 'data_order'
_UNVALIDATED = 'stopped_in_validation'


class _ValidationStopped(Exception):
    """Ends the validation loop; carries the number of the signal."""


class _StopValidation(Hook):
    """Ends validation between two batches after a signal."""

    priority = 'LOWEST'

    def __init__(self, signals: StopSignals, *, together: bool) -> None:
        self.signals = signals
        self.together = together

    def after_val_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Check for a signal; of all processes, if they have equally many batches."""
        number = self.signals.agree() if self.together else self.signals.received
        if number:
            raise _ValidationStopped(number)


@LOOPS.register_module()
class EpochTrainLoop(EpochBasedTrainLoop):
    """MMEngine's ``EpochBasedTrainLoop`` with four more promises.

    * Resumed in the middle of an epoch, it goes on after the batches that were seen, without
      decoding these. (MMEngine begins the epoch again.) The number of processes may change if the
      global batch stays. If the global batch, the samples or their order changed, it begins the
      epoch again, in iterations of the new epoch length, and warns; :class:`PrepareResume` then
      adapts the schedule.
    * Data sets with :class:`~mmstan.datasets.ReliableSamples` get seed and epoch. Starting the data
      loader draws nothing from the random streams of the model.
    * It refuses to begin where nothing could be learned (:func:`check_before_training`), and ends
      at the first loss that is NaN or infinite (:class:`FiniteTraining`).
    * SIGTERM and Ctrl-C end it after the current update of the weights, or between two batches of
      validation, with a checkpoint. A run resumed from it equals one that was not stopped. Then
      ``SystemExit`` is raised, with status 143 or 130.
    """

    _epoch: int
    _iter: int

    def __init__(
        self, runner: Runner, dataloader: DataLoader | dict[str, Any], **kwargs: Any
    ) -> None:
        refuse_sampler(dataloader)
        super().__init__(runner, dataloader, **kwargs)
        if tell_sizes(self.dataloader):
            self._max_iters = self._max_epochs * len(self.dataloader)
        self._checked = isinstance(runner.model, nn.Module)  # FlexibleRunner builds it later
        check_before_training(self)
        for hook in (FiniteTraining, FiniteScores, AlikeCaptions, ClipRate):
            if not any(isinstance(each, hook) for each in runner.hooks):
                runner.register_hook(hook())

    def run(self) -> nn.Module:
        """Train, from the place of the checkpoint if the run is resumed."""
        if not self._checked:
            check_before_training(self)
        saved = self.runner.message_hub.runtime_info.get(_ORDER, {}) if self._iter else {}
        if 'seed' in saved and hasattr(self._sampler, 'seed'):
            self._sampler.seed = saved['seed']
        order = describe_order(self.dataloader, self._seed)
        self._seen = self._find_resume_place(saved, order) if self._iter else 0
        self.runner.message_hub.update_info(_ORDER, order)
        validation = [] if self.runner.val_loop is None else [self.runner.val_loop.dataloader]
        with StopSignals(self.dataloader, *validation) as self._signals:
            self._train()
        return self.runner.model

    def _train(self) -> None:
        self.runner.call_hook('before_train')
        unvalidated = self.runner.message_hub.runtime_info.pop(_UNVALIDATED, False)
        if unvalidated and self.runner.val_loop is not None:
            self._validate()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._decide_current_val_interval()
            if self._validates_now():
                self._validate()
        self.runner.call_hook('after_train')

    def run_epoch(self) -> None:
        """Train one epoch, or the rest of it."""
        seen, self._seen = self._seen, 0
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        set_epoch(self.dataloader.dataset, self._epoch, seed=self._seed)
        if seen < len(self.dataloader):
            with skip_batches(self.dataloader, seen):
                with keep_rng():  # making the iterator draws a seed for the workers
                    batches = iter(self.dataloader)
                for batch_idx, data_batch in enumerate(batches, start=seen):
                    self.run_iter(batch_idx, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Train on one batch; then stop if a signal has come and the weights are updated."""
        super().run_iter(idx, data_batch)
        number = self._signals.agree()
        # Gradients that wait for others (accumulative_counts) would be lost.
        if number and is_updated(self.runner.optim_wrapper):
            for hook in self.runner.hooks:
                if isinstance(hook, SaveRNG):
                    hook.gather()
            self._stop(number, f'behind iteration {idx + 1} of epoch {self._epoch + 1}')

    def _validates_now(self) -> bool:
        due = self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs
        return self.runner.val_loop is not None and self._epoch >= self.val_begin and due

    def _validate(self) -> None:
        lengths = all_gather_object(len(self.runner.val_loop.dataloader))
        hook = _StopValidation(self._signals, together=len(set(lengths)) == 1)
        self.runner.register_hook(hook)
        try:
            self.runner.val_loop.run()
        except _ValidationStopped as stopped:
            leave_validation(self.runner)
            self.runner.message_hub.update_info(_UNVALIDATED, True)
            where = f'in the validation behind epoch {self._epoch}'
            self._stop(stopped.args[0], where, together=hook.together)
        finally:
            self.runner.hooks.remove(hook)

    def _stop(self, number: int, where: str, *, together: bool = True) -> NoReturn:
        """Write a checkpoint of the current state, and end the program."""
        path = save_stop_checkpoint(self.runner, epoch=self._epoch, iteration=self._iter)
        if together:
            barrier()  # without it, a launcher that sees a process end would kill the writing one
        self.runner.logger.warning(
            f'stopped by {signal.Signals(number).name} {where}: --resume goes on from {path}'
        )
        self.runner.call_hook('after_run')
        raise SystemExit(128 + number)

    @property
    def _sampler(self) -> Any:
        return find_sampler(self.dataloader)

    @property
    def _seed(self) -> int:
        return getattr(self._sampler, 'seed', self.runner.seed)

    def _find_resume_place(self, saved: Order, order: Order) -> int:
        """Set iteration count and schedule in epochs of this run; returns the batches to skip."""
        place = find_place(saved, order, epoch=self._epoch, iteration=self._iter)
        if place.message:
            self.runner.logger.warning(place.message)
        hooks = [hook for hook in self.runner.hooks if isinstance(hook, PrepareResume)]
        if place.iteration != self._iter:
            if not hooks:
                raise ValueError(
                    f'{place.message}. The schedule does not follow: add '
                    f"dict(type='mmstan.PrepareResume') to custom_hooks"
                )
            self._iter = place.iteration
            self.runner.optim_wrapper.initialize_count_status(
                self.runner.model, self._iter, self._max_iters
            )
        for hook in hooks:
            hook.set_schedule(self.runner)
        if self._epoch >= self._max_epochs:
            self.runner.logger.warning(
                f'nothing is left to train: {self._epoch} epochs are done, and '
                f'train_cfg.max_epochs is {self._max_epochs}'
            )
        return place.seen


def is_updated(optim_wrapper: Any) -> bool:
    """Whether no gradients wait for an update of the weights, of any optimiser."""
    wrappers = [wrapper for _, wrapper in list_wrappers(optim_wrapper)]
    return all(getattr(wrapper, 'should_update', lambda: True)() for wrapper in wrappers)
