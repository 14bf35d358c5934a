"""Checks and preparations before a run is resumed: a whole checkpoint, and the schedule."""

import logging
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.dist import barrier, is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.runner import FlexibleRunner, Runner, find_latest_checkpoint

from mmstan.compat.state_dicts import unwrap_model
from mmstan.engine.resumed_precision import fit_loss_scale
from mmstan.engine.schedule import FreshSchedule, is_at_other_step, list_saved_states
from mmstan.registry import HOOKS
from mmstan.wording import name_a_few

# Files in the folder of a sharded checkpoint: the one that is written last, and all but tensors.
LAST, REST = '.metadata', 'rest.pth'
_ADDRESS = re.compile(r'(\S+:)?\w+://\S+')


def has_named_state(optimizer: Mapping[str, Any]) -> bool:
    """Whether an optimiser's state goes by parameter names, as of sharded training."""
    groups = optimizer.get('param_groups') or ()
    return any(isinstance(name, str) for group in groups for name in group.get('params', ()))


def is_folder(path: str | Path) -> bool:
    """Whether a checkpoint is a folder with each process's part, written to its end."""
    # A name too long for the disk, as of damaged pointers, is an error to pathlib.
    return all(os.path.isfile(os.path.join(path, name)) for name in (LAST, REST))


def is_truncated(path: str | Path) -> bool:
    """Whether a checkpoint is missing, empty, or a zip archive or a folder without its end."""
    if is_folder(path):
        return False
    if not os.path.isfile(path):
        return True
    with open(path, 'rb') as file:
        start = file.read(2)
    return not start or (start == b'PK' and not zipfile.is_zipfile(path))


def fix_last_checkpoint(work_dir: str | Path) -> None:
    """Let ``work_dir/last_checkpoint`` name the newest whole checkpoint.

    A process that is killed while it writes leaves half a checkpoint or an empty
    ``last_checkpoint``. Then the file gets the name of the newest other checkpoint that is whole,
    or is removed if there is none. Files of the best epoch do not count, which hold no optimiser,
    nor do files without a number (``features.pth``), which are no checkpoints.

    In a copy of a work dir the file names the original's checkpoint; it gets the copy's own.
    """
    pointer = Path(work_dir, 'last_checkpoint')
    if not pointer.exists():
        return
    named = pointer.read_bytes().decode('utf-8', 'replace').strip().replace('\0', '\ufffd')
    if _ADDRESS.fullmatch(named):
        return
    if (own := _find_copy(named, work_dir)) is not None:
        print_log(f'{pointer} names {named}; taking {own}', 'current', logging.WARNING)
        _write_pointer(pointer, own)
        return
    if named and not is_truncated(named):
        return
    if os.path.isfile(named):
        why = f'{named} was not written to its end'
    else:
        why = f'{pointer} names no file ({named[:100]!r})'
    folder = Path(named).parent if os.path.isfile(named) else Path(work_dir)
    files = sorted(folder.glob('*.pth'), key=lambda file: file.stat().st_mtime)
    runs = [f for f in files if f.stem[-1].isdigit() and not f.name.startswith('best_')]
    whole = [f for f in runs if not is_truncated(f)]
    print_log(
        f'{why}; resuming from {whole[-1] if whole else "nothing, no other is whole"}',
        logger='current',
        level=logging.WARNING,
    )
    if not whole:
        pointer.unlink()
        return
    _write_pointer(pointer, whole[-1])


def _find_copy(named: str, work_dir: str | Path) -> Path | None:
    """Find the checkpoint ``named`` in ``work_dir`` if it lies in another work dir."""
    folder, name = os.path.split(named)
    elsewhere = os.path.realpath(folder) != os.path.realpath(work_dir)
    # A folder without this file holds the checkpoints of a work dir (out_dir of CheckpointHook).
    if not name or not elsewhere or not os.path.isfile(os.path.join(folder, 'last_checkpoint')):
        return None
    own = os.path.join(work_dir, name)
    return None if is_truncated(own) else Path(own)


def _write_pointer(pointer: Path, checkpoint: Path) -> None:
    corrected = pointer.with_suffix('.tmp')
    corrected.write_text(str(checkpoint))
    corrected.replace(pointer)


def resume_own_checkpoint(runner: Runner) -> None:
    """Let a runner go on from the last checkpoint of its work dir; without one it starts afresh.

    ``load_from`` is the file of a fresh start. MMEngine would resume from that file.
    """
    if runner._load_from is None:
        return  # MMEngine looks in the work dir by itself, after PrepareResume
    if is_main_process():
        fix_last_checkpoint(runner.work_dir)
    barrier()
    if find_latest_checkpoint(runner.work_dir) is not None:
        runner._load_from = None
        return
    runner._resume = False
    runner.logger.warning(
        f'nothing to resume in {runner.work_dir}: starting from {runner._load_from}'
    )


@HOOKS.register_module()
class PrepareResume(Hook):
    """Finds a whole checkpoint, skips initial weights, and adapts the schedule.

    MMEngine initialises the model, pretrained weights included, before it loads the checkpoint of a
    resumed run. With this hook nothing is downloaded or read for that.

    MMEngine takes the schedule from the checkpoint, counted in iterations of the old epochs. If
    epochs have another length now, or the config another schedule (learning rate, ends,
    milestones, weight decay, ...), the schedule becomes the one of a fresh run of this config at
    the place where the run goes on. A warning names old and new values.
    """

    def __init__(self) -> None:
        self._fresh: FreshSchedule | None = None
        self._saved: list[dict[str, Any]] = []

    def before_run(self, runner: Runner) -> None:
        """Check the checkpoint that is resumed; mark the model as initialised."""
        if not runner._resume:
            return
        if runner._load_from is None:
            if is_main_process():
                fix_last_checkpoint(runner.work_dir)
            barrier()
        path = runner._load_from or find_latest_checkpoint(runner.work_dir)
        if path is None:
            runner.logger.warning(f'nothing to resume in {runner.work_dir}: starting anew')
            return
        for module in unwrap_model(runner.model).modules():
            if isinstance(module, BaseModule):
                module.is_init = True
        runner.logger.info('resuming: the initial weights of the model are not read')

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Note schedule and precision of the checkpoint; refuse a checkpoint of weights alone."""
        if not runner._resume:
            return
        if 'optimizer' not in checkpoint:
            raise ValueError(
                'training cannot go on from this checkpoint: it holds no state of the optimiser '
                '(best_*.pth do not). Resume from another one, or start anew from its weights with '
                '--cfg-options load_from=FILE'
            )
        if not isinstance(runner, FlexibleRunner) and has_named_state(checkpoint['optimizer']):
            raise ValueError(
                "the checkpoint's optimiser goes by parameter names: mmstan.FullyShard wrote it; "
                "resume it with runner_type='FlexibleRunner' and strategy=dict(type="
                "'mmstan.FullyShard'), or start from its weights with --cfg-options load_from=FILE"
            )
        state = checkpoint['optimizer']
        # Sharded training, whose state is a folder or goes by names, has no loss scale.
        plain = isinstance(state, Mapping) and not has_named_state(state)
        if plain and (changed := fit_loss_scale(runner.optim_wrapper, checkpoint['optimizer'])):
            runner.logger.warning(changed)
        self._fresh = FreshSchedule(runner)  # optimiser and schedule are loaded behind the hooks
        self._saved = list_saved_states(checkpoint)

    def set_schedule(self, runner: Runner) -> None:
        """Move the schedule to ``runner.epoch`` and ``runner.iter`` if it is elsewhere.

        ``EpochTrainLoop`` calls this when it knows where the run goes on.
        """
        place = dict(epoch=runner.epoch, iteration=runner.iter)
        if self._fresh is None:
            return
        changes = self._fresh.find_changes(runner, self._saved)
        if not changes and not is_at_other_step(self._saved, **place):
            return
        before = _read_learning_rate(runner)
        self._fresh.move_to(runner, **place, epoch_length=len(runner.train_dataloader))
        runner.logger.warning(
            f"the schedule is the config's at epoch {runner.epoch + 1}, iteration {runner.iter + 1}"
            f': learning rate {_read_learning_rate(runner):.4g}, where the checkpoint had '
            f'{before:.4g}' + (f' (changed: {name_a_few(changes)})' if changes else '')
        )

    def before_train(self, runner: Runner) -> None:
        """Warn of settings under which the run cannot be resumed to the digit."""
        count = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        for hook in runner.hooks:
            if not isinstance(hook, CheckpointHook):
                continue
            interval = len(runner.train_dataloader) if hook.by_epoch else hook.interval
            if interval % count:
                runner.logger.warning(
                    f'checkpoints every {interval} iterations fall between the updates of '
                    f'accumulative_counts={count}: resuming loses the gradients gathered so far'
                )
            if hook.max_keep_ckpts == 1:
                runner.logger.warning(
                    'max_keep_ckpts=1: the only checkpoint is removed before the next is written; '
                    'set 2 or more to survive being killed in between'
                )


def _read_learning_rate(runner: Runner) -> float:
    """Read the rate that MMEngine logs as ``base_lr``."""
    rates = runner.optim_wrapper.get_lr()
    return rates.get('base_lr', next(iter(rates.values())))[0]
