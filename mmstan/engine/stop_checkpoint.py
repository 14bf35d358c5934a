"""The checkpoint of a run that is stopped between two regular ones."""

from __future__ import annotations

import shutil
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.fileio import join_path
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.runner import Runner

from mmstan.engine.save_rng import SaveRNG


def save_stop_checkpoint(runner: Runner, *, epoch: int, iteration: int) -> str:
    """Write ``stopped_at_iter_N.pth``, let ``last_checkpoint`` name it, and return its path.

    The file goes to the folder of the regular checkpoints. The checkpoint of an earlier stop is
    removed once this one is whole. Random states are the last ones that ``SaveRNG`` gathered.

    Args:
        runner: The runner, between two iterations.
        epoch: Finished epochs.
        iteration: Finished iterations of the run.
    """
    folders = [h.out_dir for h in runner.hooks if isinstance(h, CheckpointHook) and h.out_dir]
    folder, name = str((folders or [runner.work_dir])[0]), f'stopped_at_iter_{iteration}.pth'
    meta = dict(epoch=epoch, iter=iteration)
    runner.save_checkpoint(folder, name, meta=meta, by_epoch=False)
    path = join_path(folder, name)
    if is_main_process():
        Path(runner.work_dir, 'last_checkpoint').write_text(path)
        if '://' not in folder:
            for other in set(Path(folder).glob('stopped_at_iter_*.pth')) - {Path(path)}:
                # Of a sharded engine it is a folder.
                shutil.rmtree(other) if other.is_dir() else other.unlink()
    return path


def leave_validation(runner: Runner) -> None:
    """Undo the temporary changes of a validation: averaged weights, random states."""
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            hook.after_val_epoch(runner)
        elif isinstance(hook, SaveRNG):
            hook.after_val(runner)
