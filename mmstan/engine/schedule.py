"""The schedule of a resumed run, equal to a fresh run of the same config at the same place."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

from mmengine.optim import OptimWrapperDict, _ParamScheduler
from mmengine.runner import Runner

State = dict[str, Any]
# The part of a scheduler's state that says where it is; the rest are its settings.
_PROGRESS = ('_global_step', 'last_step', '_last_value', 'optimizer', 'verbose')


def _list_schedulers(runner: Runner) -> list[_ParamScheduler]:
    return _flatten(runner.param_schedulers)


def _flatten(schedulers: Any) -> list[Any]:
    """List schedulers, or their states, of one optimiser or of several ones by name."""
    found = schedulers or []
    return [s for part in found.values() for s in part] if isinstance(found, dict) else list(found)


def _list_groups(runner: Runner) -> list[State]:
    """List the groups of all optimisers, and MMEngine's base settings, which the log shows."""
    wrapper = runner.optim_wrapper
    parts = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
    return [group for part in parts for group in part.param_groups]


def list_saved_states(checkpoint: dict[str, Any]) -> list[State]:
    """List the scheduler states of a checkpoint, in the order of :class:`FreshSchedule`."""
    return _flatten(checkpoint.get('param_schedulers'))


class FreshSchedule:
    """Optimiser groups and schedulers of a run before its first step.

    MMEngine takes rates, ends and milestones of a resumed run from the checkpoint: the old
    settings, counted in iterations of the old epochs. Make this object before the checkpoint is
    read; :meth:`move_to` then runs the config's own schedule up to the place of the run.
    """

    def __init__(self, runner: Runner) -> None:
        self._groups = [
            {key: deepcopy(value) for key, value in group.items() if key != 'params'}
            for group in _list_groups(runner)
        ]
        self._states = [_copy_state(scheduler) for scheduler in _list_schedulers(runner)]

    def find_changes(self, runner: Runner, saved: Sequence[State]) -> list[str]:
        """List the differences from the checkpoint, each as ``name old -> new``."""
        changes = list(self._compare_groups(runner))
        if len(saved) != len(self._states):
            changes.append(f'schedulers {len(saved)} -> {len(self._states)}')
        for scheduler, old, new in zip(_list_schedulers(runner), saved, self._states):
            if getattr(scheduler, 'need_val_args', False):
                continue  # moves by results of validation; its settings are not compared
            changes.extend(_compare_settings(type(scheduler).__name__, old, new))
        return list(dict.fromkeys(changes))

    def _compare_groups(self, runner: Runner) -> Iterator[str]:
        """Compare settings that no scheduler moves, and the values that schedulers start from."""
        moved = {scheduler.param_name for scheduler in _list_schedulers(runner)}
        moved |= {'betas', 'name'} if 'momentum' in moved else {'name'}
        for now, fresh in zip(_list_groups(runner), self._groups):
            for key in fresh.keys() & now.keys() - moved:
                if not isinstance(fresh[key], (bool, str)) and now[key] != fresh[key]:
                    yield f'{key.removeprefix("initial_")} {now[key]} -> {fresh[key]}'

    def move_to(self, runner: Runner, *, epoch: int, iteration: int, epoch_length: int) -> None:
        """Give groups and schedulers the values of a fresh run at ``epoch`` and ``iteration``.

        Args:
            runner: The runner whose checkpoint is loaded.
            epoch: Finished epochs.
            iteration: Finished iterations, including the current epoch's.
            epoch_length: Iterations of an epoch.

        Raises:
            ValueError: A scheduler moves by the results of validation, which are not known.
        """
        schedulers = _list_schedulers(runner)
        for group, values in zip(_list_groups(runner), self._groups):
            group.update(deepcopy(values))
        # Cleared first: a loaded scheduler may have attributes of its old settings.
        for scheduler, state in zip(schedulers, self._states):
            _refuse_plateau(scheduler, epoch_length)
            vars(scheduler).clear()
            vars(scheduler).update(deepcopy({**state, 'optimizer': None}))
            scheduler.optimizer = state['optimizer']
        with warnings.catch_warnings():
            # This optimiser has not stepped yet; the run's has.
            warnings.filterwarnings('ignore', 'Detected call of `scheduler.step', UserWarning)
            # In the order of training: the rounding is the same, to the last digit.
            for number in range(1, iteration + 1):
                _step(schedulers, by_epoch=False)
                if number % epoch_length == 0 and number // epoch_length <= epoch:
                    _step(schedulers, by_epoch=True)


def is_at_other_step(saved: Sequence[State], *, epoch: int, iteration: int) -> bool:
    """Whether a scheduler of the checkpoint has taken another number of steps."""
    return any(s['_global_step'] != (epoch if s['by_epoch'] else iteration) for s in saved)


def _copy_state(scheduler: _ParamScheduler) -> State:
    return {**deepcopy(scheduler.state_dict()), 'optimizer': scheduler.optimizer}


def _compare_settings(name: str, old: State, new: State) -> Iterator[str]:
    for key in sorted(old.keys() | new.keys()):
        before, now = old.get(key), new.get(key)
        if key in _PROGRESS or callable(before) or callable(now) or before == now:
            continue
        if key == 'base_values':
            before, now = before and before[-1], now and now[-1]
        yield f'{name}.{key.lstrip("_")} {before} -> {now}'


def _refuse_plateau(scheduler: _ParamScheduler, epoch_length: int) -> None:
    if getattr(scheduler, 'need_val_args', False):
        raise ValueError(
            f'{type(scheduler).__name__} moves by the results of validation, so that the schedule '
            f'cannot be computed for epochs of {epoch_length} iterations: resume with batch size, '
            f'processes, data and schedule of the checkpoint'
        )


def _step(schedulers: Sequence[_ParamScheduler], *, by_epoch: bool) -> None:
    for scheduler in schedulers:
        if scheduler.by_epoch == by_epoch:
            scheduler.step()
