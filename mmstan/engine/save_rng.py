"""Random states in checkpoints."""

import random
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

from mmstan.registry import HOOKS

RngState = dict[str, Any]


def get_rng_state() -> RngState:
    """Get Python's, NumPy's and PyTorch's states in a form that ``weights_only=True`` can load."""
    version, words, gauss = random.getstate()
    numpy = np.random.get_state(legacy=False)
    numpy_words = torch.from_numpy(numpy['state']['key'].astype('int64'))
    state: RngState = dict(
        python=(version, torch.tensor(words), gauss),
        numpy=(numpy_words, numpy['state']['pos'], numpy['has_gauss'], numpy['gauss']),
        torch=torch.get_rng_state(),
    )
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_rng_state(state: RngState) -> None:
    """Restore a state of :func:`get_rng_state`; its tensors may be on another device."""
    version, words, gauss = state['python']
    random.setstate((version, tuple(words.tolist()), gauss))
    numpy_words, *numpy_rest = state['numpy']
    np.random.set_state(('MT19937', numpy_words.cpu().numpy().astype('uint32'), *numpy_rest))
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


def _saves_now(hook: Hook, runner: Runner) -> bool:
    """Whether a ``CheckpointHook`` writes a checkpoint after this iteration."""
    if not isinstance(hook, CheckpointHook) or hook.by_epoch:
        return False
    regular = hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
    return regular or (hook.save_last and hook.is_last_train_iter(runner))


@HOOKS.register_module()
class SaveRNG(Hook):
    """Saves the random states of all ranks in the checkpoint, under ``rng``, and restores them.

    Drop-out, mixup and drop path then go on as if the run had not been interrupted. Validation
    leaves the states as they were, so it makes no difference when validation runs. The result is
    exact with ``mmstan.EpochTrainLoop`` and data sets with ``ReliableSamples``.
    """

    # Before CheckpointHook: that calls `before_save_checkpoint` on the main process alone, when it
    # is too late to gather the states of the others.
    priority = 'LOW'

    def __init__(self) -> None:
        self._resumed: list[RngState] | None = None
        self._gathered: list[RngState] | None = None
        self._before_val: RngState | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Remember the states until training begins."""
        if not runner._resume:
            return
        self._resumed = checkpoint.get('rng')
        if self._resumed is None:
            runner.logger.warning(
                'the checkpoint holds no random states: training goes on, but not to the digit'
            )

    def before_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Restore the states at the first iteration."""
        self._gathered = None
        states, self._resumed = self._resumed, None
        if states is None:
            return
        if get_rank() < len(states):
            set_rng_state(states[get_rank()])
        else:
            runner.logger.error(
                f'rank {get_rank()} has no random state in the checkpoint, which is of '
                f'{len(states)} processes: training goes on, but not to the digit'
            )

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Gather the states of all ranks if a checkpoint is about to be written."""
        if any(_saves_now(hook, runner) for hook in runner.hooks):
            self.gather()

    def after_train_epoch(self, runner: Runner) -> None:
        """Gather for the checkpoints at the end of the epoch and after its validation."""
        self.gather()

    def gather(self) -> None:
        """Collect the states of all ranks for the next checkpoint; all ranks have to call it."""
        self._gathered = all_gather_object(get_rng_state())

    def before_val(self, runner: Runner) -> None:
        """Note the states; even starting a data loader changes them."""
        self._before_val = get_rng_state()

    def after_val(self, runner: Runner) -> None:
        """Restore the states of before the validation."""
        if self._before_val is not None:
            set_rng_state(self._before_val)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Write the states of all ranks."""
        # Resumed and not restored yet: stopped in a validation before the first iteration.
        checkpoint['rng'] = self._resumed or self._gathered or [get_rng_state()]
