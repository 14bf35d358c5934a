"""After a resume with another epoch length, every rate is the one of a fresh run, to the digit."""

from typing import Any

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS

from mmstan.engine.schedule import FreshSchedule, is_at_other_step, list_saved_states

EPOCHS, OLD, NEW = 4, 6, 9  # iterations an epoch, before and after
ITERATIONS = dict(convert_to_iter_based=True)
SCHEDULES = {
    'as shipped': [
        dict(type='LinearLR', start_factor=0.01, end=1, **ITERATIONS),
        dict(type='CosineAnnealingLR', begin=1, T_max=3, end=4, eta_min=1e-3, **ITERATIONS),
    ],
    'overlapping': [
        dict(type='LinearLR', start_factor=0.0025, end=2, **ITERATIONS),
        dict(type='CosineAnnealingLR', T_max=4, end=4, **ITERATIONS),
    ],
    'of both kinds': [
        dict(type='LinearLR', start_factor=0.1, end=3, by_epoch=False),
        dict(type='CosineAnnealingLR', T_max=4, eta_min_ratio=0.1, **ITERATIONS),
        dict(type='MultiStepLR', milestones=[1, 3], gamma=0.5),
    ],
    'steps': [
        dict(type='StepLR', step_size=1, gamma=0.3, **ITERATIONS),
        dict(type='MultiStepLR', milestones=[1, 2, 2], gamma=0.5, **ITERATIONS),
    ],
    'others': [
        dict(type='ConstantLR', factor=0.5, end=2, **ITERATIONS),
        dict(type='ExponentialLR', gamma=0.97, **ITERATIONS),
        dict(type='PolyLR', power=0.9, eta_min=1e-4, begin=1, end=4, **ITERATIONS),
    ],
    'restarts': [
        dict(type='CosineRestartLR', periods=[1, 3], restart_weights=[1, 0.5], eta_min=0.0)
        | ITERATIONS
    ],
    'one cycle': [dict(type='OneCycleLR', eta_max=0.1, total_steps=4, **ITERATIONS)],
    'momentum': [
        dict(type='CosineAnnealingMomentum', T_max=4, eta_min=0.5, **ITERATIONS),
        dict(type='LinearLR', start_factor=0.1, end=2, **ITERATIONS),
    ],
    'epochs alone': [dict(type='CosineAnnealingLR', T_max=4, by_epoch=True)],
}


class Run:
    """Two parameter groups, the second of ten times the rate, and their schedulers."""

    def __init__(self, schedule: list[dict[str, Any]], length: int, *, lr: float = 0.01) -> None:
        groups = [dict(params=[torch.nn.Parameter(torch.zeros(1))]) for _ in range(2)]
        groups[1]['lr'] = 10 * lr
        optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=0.05)
        self.length = length
        self.optim_wrapper = OptimWrapper(optimizer)
        self.param_schedulers = [
            PARAM_SCHEDULERS.build(
                dict({'end': EPOCHS if s.get('by_epoch', True) else EPOCHS * length}, **s),
                default_args=dict(optimizer=self.optim_wrapper, epoch_length=length),
            )
            for s in schedule
        ]

    def values(self) -> list[dict[str, Any]]:
        """Everything in the groups but the parameters."""
        groups = self.optim_wrapper.param_groups
        return [{k: v for k, v in group.items() if k != 'params'} for group in groups]

    def train(self, start: int, end: int) -> list[list[dict[str, Any]]]:
        """The values of each iteration; an epoch that ends at ``end`` is over."""
        values = []
        for iteration in range(start, end):
            values.append(self.values())
            self.optim_wrapper.step()
            over = (iteration + 1) % self.length == 0
            for scheduler in self.param_schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
            for scheduler in self.param_schedulers:
                if scheduler.by_epoch and over:
                    scheduler.step()
        return values

    def checkpoint(self) -> dict[str, Any]:
        return dict(
            optimizer=self.optim_wrapper.state_dict(),
            param_schedulers=[s.state_dict() for s in self.param_schedulers],
        )

    def resume(self, checkpoint: dict[str, Any]) -> None:
        """What MMEngine's Runner does."""
        self.optim_wrapper.load_state_dict(checkpoint['optimizer'])
        for scheduler, state in zip(self.param_schedulers, checkpoint['param_schedulers']):
            scheduler.load_state_dict(state)


@pytest.mark.parametrize('name', SCHEDULES)
@pytest.mark.parametrize(('old', 'new'), [(OLD, NEW), (NEW, OLD)])
@pytest.mark.parametrize('seen', [0, 2], ids=['end of epoch', 'mid-epoch'])
def test_values_of_a_fresh_run(name: str, old: int, new: int, seen: int) -> None:
    epoch = 2
    before = Run(SCHEDULES[name], old)
    before.train(0, epoch * old + seen)
    fresh = Run(SCHEDULES[name], new)
    expected = fresh.train(0, EPOCHS * new)
    run = Run(SCHEDULES[name], new)
    schedule = FreshSchedule(run)
    run.resume(before.checkpoint())
    changes = schedule.find_changes(run, list_saved_states(before.checkpoint()))
    assert bool(changes) == (name != 'epochs alone')
    schedule.move_to(run, epoch=epoch, iteration=epoch * new, epoch_length=new)
    assert run.train(epoch * new, EPOCHS * new) == expected[epoch * new :]


@pytest.mark.parametrize('name', SCHEDULES)
def test_same_settings_and_place_are_no_change(name: str) -> None:
    before = Run(SCHEDULES[name], OLD)
    before.train(0, 2 * OLD)
    run = Run(SCHEDULES[name], OLD)
    schedule = FreshSchedule(run)
    run.resume(before.checkpoint())
    saved = list_saved_states(before.checkpoint())
    assert schedule.find_changes(run, saved) == []
    assert not is_at_other_step(saved, epoch=2, iteration=2 * OLD)
    assert is_at_other_step(saved, epoch=1, iteration=OLD)  # the epoch begins again
    # Moving there all the same changes nothing, not even a last digit.
    expected = run.values()
    schedule.move_to(run, epoch=2, iteration=2 * OLD, epoch_length=OLD)
    assert run.values() == expected


def test_settings_that_changed_are_named_and_hold() -> None:
    schedule = SCHEDULES['as shipped']
    before = Run(schedule, OLD)
    before.train(0, OLD)
    fresh = Run(schedule, OLD, lr=0.02)
    fresh.train(0, OLD)
    run = Run(schedule, OLD, lr=0.02)
    of_config = FreshSchedule(run)
    run.resume(before.checkpoint())
    changes = of_config.find_changes(run, list_saved_states(before.checkpoint()))
    assert 'lr 0.01 -> 0.02' in changes and 'lr 0.1 -> 0.2' in changes
    of_config.move_to(run, epoch=1, iteration=OLD, epoch_length=OLD)
    assert run.values() == fresh.values()
    assert run.values()[0]['lr'] == pytest.approx(0.02)


def test_schedulers_that_were_added() -> None:
    before = Run(SCHEDULES['as shipped'][:1], OLD)
    run = Run(SCHEDULES['as shipped'], OLD)
    changes = FreshSchedule(run).find_changes(run, list_saved_states(before.checkpoint()))
    assert changes == ['schedulers 1 -> 2']


def test_what_moves_by_validation_is_refused() -> None:
    plateau = dict(type='ReduceOnPlateauLR', monitor='acc/top1', rule='greater')
    run = Run([plateau, *SCHEDULES['as shipped']], NEW)
    schedule = FreshSchedule(run)
    with pytest.raises(ValueError, match='ReduceOnPlateauLR moves by the results of validation'):
        schedule.move_to(run, epoch=1, iteration=NEW, epoch_length=NEW)


def test_schedulers_of_several_optimisers() -> None:
    run = Run(SCHEDULES['as shipped'], OLD)
    states = [s.state_dict() for s in run.param_schedulers]
    assert list_saved_states(dict(param_schedulers=dict(a=states[:1], b=states[1:]))) == states
    assert list_saved_states({}) == []
