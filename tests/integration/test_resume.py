"""A run that was interrupted goes on as if it had not been, loss by loss."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from helpers import resumed_run
from helpers.resumed_run import BATCHES, EPOCHS, make_config, read_losses
from mmaction.registry import DATA_SAMPLERS
from mmengine.runner import Runner
from torch.utils.data import BatchSampler

TOTAL = BATCHES * EPOCHS
Losses = list[tuple[int, float]]

# PyTorch cannot know that the optimiser stepped before the interruption.
pytestmark = pytest.mark.filterwarnings('ignore:Detected call of `scheduler.step:UserWarning')


def run(
    folder: Path, *, resume: bool = False, stop_at: int | None = None, **changes: Any
) -> tuple[Losses, Runner]:
    """Train in this process; ``stop_at`` interrupts; ``changes`` are dotted keys of the config."""
    name = f'resume-{resume}'
    cfg = make_config(folder, losses=f'{name}.txt', stop_at=stop_at)
    cfg.merge_from_dict(
        dict(changes, resume=resume, experiment_name=f'{folder.parent.name}-{folder.name}-{name}')
    )
    runner = Runner.from_cfg(cfg)
    if stop_at is None:
        runner.train()
    else:
        with pytest.raises(KeyboardInterrupt):
            runner.train()
    return read_losses(folder / f'{name}.txt'), runner


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Losses:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    losses, _ = run(tmp_path_factory.mktemp('uninterrupted'))
    torch.set_num_threads(threads)
    assert [iteration for iteration, _ in losses] == list(range(TOTAL))
    assert len({loss for _, loss in losses}) == TOTAL
    return losses


def assert_goes_on(losses: Losses, uninterrupted: Losses, first: int) -> None:
    """``losses`` are those of the uninterrupted run from iteration ``first`` to the end."""
    assert [iteration for iteration, _ in losses] == list(range(first, TOTAL))
    assert [loss for _, loss in losses] == pytest.approx(
        [loss for _, loss in uninterrupted[first:]], abs=1e-6, rel=0
    )


def test_killed_in_mid_epoch(tmp_path: Path, uninterrupted: Losses):
    """``kill -9`` in iteration 8; the last checkpoint is behind 5, one into the second epoch.

    The killed process has two workers that live on, the one that goes on has two that do not,
    the uninterrupted one has none.
    """
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path), OMP_NUM_THREADS='1')
    command = [sys.executable, resumed_run.__file__, str(tmp_path), '--kill-at', '8']
    with open(tmp_path / 'output.txt', 'wb') as output:  # workers would hold a pipe open
        killed = subprocess.run(command, env=environment, stdout=output, stderr=output)
    assert killed.returncode == -signal.SIGKILL, (tmp_path / 'output.txt').read_text()
    assert read_losses(tmp_path / 'losses.txt') == uninterrupted[:9]
    losses, _ = run(tmp_path, resume=True, **{'train_dataloader.num_workers': 2})
    assert_goes_on(losses, uninterrupted, first=6)


@pytest.mark.parametrize(
    ('checkpoint', 'stop_at', 'first'),
    [
        pytest.param(dict(interval=4), 6, 4, id='before the last batch of an epoch'),
        pytest.param(dict(interval=5), 6, 5, id='end of an epoch, not validated yet'),
        pytest.param(dict(by_epoch=True, interval=1), 12, 10, id='epochs'),
        pytest.param(
            dict(by_epoch=True, interval=1, save_best='auto'), 12, 10, id='epochs, validated'
        ),
    ],
)
def test_goes_on_from_every_kind_of_checkpoint(
    checkpoint: dict[str, Any], stop_at: int, first: int, tmp_path: Path, uninterrupted: Losses
):
    changes = {f'default_hooks.checkpoint.{key}': value for key, value in checkpoint.items()}
    before, _ = run(tmp_path, stop_at=stop_at, **changes)
    assert before == uninterrupted[: stop_at + 1]
    initialised = resumed_run.DropoutConv.initialised
    losses, _ = run(tmp_path, resume=True, **changes)
    assert resumed_run.DropoutConv.initialised == initialised  # its weights are in the checkpoint
    assert_goes_on(losses, uninterrupted, first)


def test_half_a_checkpoint_is_passed_over(tmp_path: Path, uninterrupted: Losses):
    """Killed while it wrote the checkpoint of iteration 6 a second time."""
    run(tmp_path, stop_at=7)
    newest = tmp_path / 'iter_6.pth'
    assert (tmp_path / 'last_checkpoint').read_text() == str(newest)
    newest.write_bytes(newest.read_bytes()[:-1000])
    losses, _ = run(tmp_path, resume=True)
    assert_goes_on(losses, uninterrupted, first=3)


def test_seed_that_was_drawn_is_resumed(tmp_path: Path):
    """Without a configured seed each start draws one, and the checkpoint's has to win."""
    unseeded = {'randomness.seed': None}
    run(tmp_path / 'parts', stop_at=7, **unseeded)
    losses, runner = run(tmp_path / 'parts', resume=True, **unseeded)
    whole, _ = run(tmp_path / 'whole', **{'randomness.seed': runner.seed})
    assert_goes_on(losses, whole, first=6)


def log_of(folder: Path) -> str:
    return ''.join(file.read_text() for file in folder.glob('*/*.log'))


def rates(folder: Path) -> dict[int, float]:
    """Iteration -> learning rate; where two runs logged one, the later run's."""
    files = [path.read_text() for path in sorted(folder.glob('*/vis_data/2*.json'))]
    lines = [json.loads(line) for file in files for line in file.splitlines()]
    return {line['iter']: line['lr'] for line in lines if 'lr' in line}


@pytest.mark.parametrize('by_epoch', [False, True], ids=['mid-epoch', 'end of epoch'])
def test_another_batch_size_has_the_rates_of_a_fresh_run(by_epoch: bool, tmp_path: Path):
    """Epochs of 5 iterations become epochs of 3, warm-up, cosine and milestones follow."""
    every = {'default_hooks.logger': dict(type='LoggerHook', interval=1)}
    before = {'default_hooks.checkpoint.by_epoch': by_epoch, **every}
    before['default_hooks.checkpoint.interval'] = 1 if by_epoch else 3
    run(tmp_path / 'parts', stop_at=7, **before)
    smaller = {'train_dataloader.batch_size': 6, **every}
    losses, runner = run(tmp_path / 'parts', resume=True, **smaller)
    batches = 3  # an epoch, of 18 samples
    assert [iteration for iteration, _ in losses] == list(range(batches, batches * EPOCHS))
    assert runner.iter == batches * EPOCHS
    log = log_of(tmp_path / 'parts')
    goes_on = 'training goes on behind epoch 1' if by_epoch else 'epoch 2 begins again, of which 1'
    assert 'an epoch has 3 iterations, and had 5 when the checkpoint was written' in log
    assert goes_on in log
    assert 'CosineAnnealingLR.T_max 15 -> 9' in log
    run(tmp_path / 'fresh', **smaller)
    expected = rates(tmp_path / 'fresh')
    found = rates(tmp_path / 'parts')
    assert len(expected) == 9
    assert {i: found[i] for i in range(4, 10)} == {i: expected[i] for i in range(4, 10)}


def test_annotations_in_another_order_begin_the_epoch_again(tmp_path: Path, uninterrupted: Losses):
    """The list has as many lines as before: only what they say differs."""
    run(tmp_path, stop_at=7)
    with mock.patch.object(resumed_run, 'ORDER', -1):
        losses, _ = run(tmp_path, resume=True)
    assert [iteration for iteration, _ in losses] == list(range(BATCHES, TOTAL))
    assert losses[0][1] != pytest.approx(uninterrupted[BATCHES][1], abs=1e-6)
    assert 'the same in another order): epoch 2 begins again, of which 1 of 5' in log_of(tmp_path)


@DATA_SAMPLERS.register_module(force=True)
class Reversed(BatchSampler):
    def __iter__(self) -> Iterator[list[int]]:
        return iter(list(super().__iter__())[::-1])


def test_batches_that_are_not_slices_of_the_order_are_refused(tmp_path: Path):
    changes = {'train_dataloader.batch_sampler': dict(type='Reversed', drop_last=False)}
    run(tmp_path, stop_at=7, **changes)
    with pytest.raises(ValueError, match='batch_sampler=Reversed cannot be resumed in mid-epoch'):
        run(tmp_path, resume=True, **changes)


def test_without_a_checkpoint_it_starts_anew(tmp_path: Path, uninterrupted: Losses):
    losses, _ = run(tmp_path, resume=True)
    assert losses == uninterrupted


def test_nothing_left_to_train_is_said(tmp_path: Path):
    run(tmp_path, stop_at=11)
    (tmp_path / 'resume-True.txt').touch()  # no iteration writes it
    losses, _ = run(tmp_path, resume=True, **{'train_cfg.max_epochs': 1})
    assert losses == []
    said = 'nothing is left to train: 1 epochs are done, and train_cfg.max_epochs is 1'
    assert said in log_of(tmp_path)
