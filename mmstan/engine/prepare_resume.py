"""What has to be in order before a run is resumed."""

import logging
import os
import zipfile
from pathlib import Path

from mmengine.dist import barrier, is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import print_log
from mmengine.model import BaseModule, is_model_wrapper
from mmengine.runner import Runner, find_latest_checkpoint

from mmstan.registry import HOOKS


def is_truncated(path: str | Path) -> bool:
    """Whether a checkpoint file is missing, empty, or a zip archive without its end."""
    if not os.path.isfile(path):
        return True
    with open(path, 'rb') as file:
        start = file.read(2)
    return not start or (start == b'PK' and not zipfile.is_zipfile(path))


def mend_last_checkpoint(work_dir: str | Path) -> None:
    """Let ``work_dir/last_checkpoint`` name the newest whole checkpoint.

    A process that is killed while it writes leaves half a checkpoint, or an empty
    ``last_checkpoint``. Then the newest of the other checkpoints is named there, and where none is
    whole the file is removed. Files of the best epoch do not count: they hold no optimiser.
    """
    pointer = Path(work_dir, 'last_checkpoint')
    if not pointer.exists():
        return
    named = pointer.read_bytes().decode('utf-8', 'replace').strip().replace('\0', '\ufffd')
    if '://' in named or (named and not is_truncated(named)):
        return
    if os.path.isfile(named):
        why = f'{named} was not written to its end'
    else:
        why = f'{pointer} names no file ({named[:100]!r})'
    folder = Path(named).parent if os.path.isfile(named) else Path(work_dir)
    files = sorted(folder.glob('*.pth'), key=lambda file: file.stat().st_mtime)
    whole = [f for f in files if not f.name.startswith('best_') and not is_truncated(f)]
    print_log(
        f'{why}; resuming from {whole[-1] if whole else "nothing, no other is whole"}',
        logger='current',
        level=logging.WARNING,
    )
    if not whole:
        pointer.unlink()
        return
    mended = pointer.with_suffix('.tmp')
    mended.write_text(str(whole[-1]))
    mended.replace(pointer)


@HOOKS.register_module()
class PrepareResume(Hook):
    """Finds a checkpoint that is whole, and spares the model its initial weights.

    MMEngine initialises the model, pretrained weights included, before it loads the checkpoint
    that is resumed. With this hook nothing is downloaded or read for that.
    """

    def before_run(self, runner: Runner) -> None:
        """Check what is resumed; mark the model as initialised."""
        if not runner._resume:
            return
        if runner._load_from is None:
            if is_main_process():
                mend_last_checkpoint(runner.work_dir)
            barrier()
        path = runner._load_from or find_latest_checkpoint(runner.work_dir)
        if path is None:
            runner.logger.warning(f'nothing to resume in {runner.work_dir}: starting anew')
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        for module in model.modules():
            if isinstance(module, BaseModule):
                module.is_init = True
        runner.logger.info('resuming: the initial weights of the model are not read')

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
