"""SIGTERM and Ctrl-C end a training with a checkpoint that goes on to the digit."""

import itertools
import multiprocessing
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.gloo_processes import run_ranks
from helpers.resumed_run import BATCHES, EPOCHS, make_config, read_losses
from mmengine.dist import all_reduce, barrier, get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner, find_latest_checkpoint

from mmstan.cli import one_line_errors
from mmstan.compat.checkpoints import load_file

TOTAL = BATCHES * EPOCHS
WORKERS = {'train_dataloader.num_workers': 2, 'train_dataloader.persistent_workers': True}
_run = itertools.count()
Losses = list[tuple[int, float]]
# PyTorch cannot know that the optimiser stepped before the interruption.
pytestmark = pytest.mark.filterwarnings('ignore:Detected call of `scheduler.step:UserWarning')


@HOOKS.register_module(force=True)
class SendSignal(Hook):
    """Sends a signal in iteration ``at``, or in the validation behind it, to workers too."""

    def __init__(self, number: int, at: int, *, validation: bool = False, rank: int = 0) -> None:
        self.number, self.at, self.validation, self.rank = number, at, validation, rank

    def _send(self) -> None:
        if get_rank() != self.rank:
            return
        for worker in multiprocessing.active_children():
            for number in (signal.SIGINT, signal.SIGTERM):  # as terminals and schedulers do
                os.kill(worker.pid or 0, number)
        os.kill(os.getpid(), self.number)

    def before_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        if runner.iter == self.at and not self.validation:
            self._send()

    def after_val_iter(self, runner: Runner, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        if runner.iter == self.at and self.validation and batch_idx == 1:
            self._send()


def run(
    folder: Path, *, send: dict[str, Any] | None = None, status: int | None = None, **changes: Any
) -> Losses:
    """Train in this process; ``send`` is for :class:`SendSignal`; the losses that were computed."""
    losses = f'losses-{send is None}-{os.environ.get("RANK", 0)}.txt'
    cfg = make_config(folder, losses=losses)
    name = f'{folder.parent.name}-{next(_run)}'
    cfg.merge_from_dict(dict(changes, experiment_name=name))
    if send is None:
        cfg.resume = True  # where there is a checkpoint
        Runner.from_cfg(cfg).train()
    else:
        cfg.custom_hooks.append(dict(type='SendSignal', **send))
        runner = Runner.from_cfg(cfg)
        with pytest.raises(SystemExit) as end:
            runner.train()
        assert end.value.code == 128 + send['number']
        if workers := getattr(runner.train_dataloader, '_iterator', None):
            workers._shutdown_workers()  # left to the garbage collector, it waits ten seconds
    return read_losses(folder / losses)


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Losses:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    losses = run(tmp_path_factory.mktemp('uninterrupted'))
    torch.set_num_threads(threads)
    assert len(losses) == TOTAL
    return losses


def log_of(folder: Path) -> str:
    return ''.join(file.read_text() for file in folder.glob('*/*.log'))


# Python 3.12 and later warn of any fork beside another thread.
@pytest.mark.filterwarnings('ignore:This process .* is multi-threaded:DeprecationWarning')
@pytest.mark.parametrize(
    ('number', 'at', 'changes'),
    [
        pytest.param(signal.SIGTERM, 6, WORKERS, id='SIGTERM, to workers too'),
        pytest.param(signal.SIGINT, 6, {}, id='Ctrl-C'),
        pytest.param(signal.SIGTERM, 4, {}, id='in the last iteration of an epoch'),
        pytest.param(signal.SIGTERM, 0, {}, id='in the first iteration'),
    ],
)
def test_stopped_in_training(
    number: signal.Signals,
    at: int,
    changes: dict[str, Any],
    tmp_path: Path,
    uninterrupted: Losses,
) -> None:
    before = run(tmp_path, send=dict(number=number, at=at), **changes)
    assert before == uninterrupted[: at + 1]  # the iteration was ended
    checkpoint = tmp_path / f'stopped_at_iter_{at + 1}.pth'
    assert find_latest_checkpoint(str(tmp_path)) == str(checkpoint)
    epoch, batch = divmod(at, BATCHES)
    assert (
        f'stopped by {number.name} behind iteration {batch + 1} of epoch {epoch + 1}: '
        f'--resume goes on from {checkpoint}\n'
    ) in log_of(tmp_path)
    assert run(tmp_path) == uninterrupted[at + 1 :]


def test_stopped_in_validation(tmp_path: Path, uninterrupted: Losses) -> None:
    """The weights in the checkpoint are the run's, not the averaged ones that were validated."""
    run(tmp_path, send=dict(number=signal.SIGTERM, at=BATCHES, validation=True))
    assert 'stopped by SIGTERM in the validation behind epoch 1: ' in log_of(tmp_path)
    assert log_of(tmp_path).count('acc/top1') == 0
    assert run(tmp_path) == uninterrupted[BATCHES:]
    assert log_of(tmp_path).count('acc/top1') == EPOCHS  # the one that was stopped was made up for


def test_stopped_twice(tmp_path: Path, uninterrupted: Losses) -> None:
    """In one validation: the second time no iteration came between. One checkpoint is kept."""
    send = dict(number=signal.SIGTERM, at=BATCHES, validation=True)
    run(tmp_path, send=send)
    run(tmp_path, send=send, resume=True)
    assert run(tmp_path) == uninterrupted[BATCHES:]
    send = dict(number=signal.SIGTERM, at=8)
    run(tmp_path, send=send)
    assert [path.name for path in tmp_path.glob('stopped*')] == ['stopped_at_iter_9.pth']


def test_gradients_that_wait_are_not_lost(tmp_path: Path) -> None:
    """Weights are updated every third iteration: it stops behind the next update."""
    accumulated = {'optim_wrapper.accumulative_counts': 3}
    whole = run(tmp_path / 'whole', **accumulated)
    run(tmp_path / 'parts', send=dict(number=signal.SIGTERM, at=6), **accumulated)
    meta = load_file(tmp_path / 'parts/stopped_at_iter_9.pth')['meta']
    assert (meta['epoch'], meta['iter']) == (1, 9)
    assert run(tmp_path / 'parts', **accumulated) == whole[9:]
    assert len(whole) == TOTAL


def stop_one_rank(folder: Path) -> None:
    """Only the second process gets the signal; then it does not answer."""
    group = dict(backend='gloo', timeout=90)
    several = {
        'train_cfg.max_epochs': 2,
        'launcher': 'pytorch',
        'env_cfg': dict(dist_cfg=group),
    }
    whole = run(folder / 'whole', **several)
    run(folder / 'parts', send=dict(number=signal.SIGTERM, at=3, rank=1), **several)
    assert find_latest_checkpoint(str(folder / 'parts')).endswith('/stopped_at_iter_4.pth')
    assert run(folder / 'parts', **several) == whole[4:]
    # The timeout of the config is the group's; in one of a second it is seen.
    everyone = torch.distributed.group.WORLD
    assert everyone._get_backend(torch.device('cpu')).options._timeout == timedelta(seconds=90)
    impatient = torch.distributed.new_group(timeout=timedelta(seconds=1))
    if get_rank() == 0:
        said = 'error: rank 0: another process of this job .*Timed out waiting'
        with pytest.raises(SystemExit, match=said), one_line_errors():
            all_reduce(torch.ones(1), group=impatient)
    barrier()


def test_all_processes_stop_together_and_none_waits_for_ever(tmp_path: Path) -> None:
    run_ranks(f'{__file__}:stop_one_rank', tmp_path)
