"""Fixes for MMAction2 1.2 and MMEngine 0.10 on a current stack, applied from outside.

There is one function for each fault. Its docstring names fault, versions and upstream thread. It
checks whether the fault is present, fixes it, returns whether it did, and does nothing the second
time. ``import mmstan`` calls :func:`apply`. requirements.txt fixes faults that need only a package
(importlib-metadata, setuptools).
"""

import logging
from collections.abc import Callable

from mmstan.compat.imports import leave_transformers_for_later

_late = leave_transformers_for_later()  # before anything here imports mmengine.optim

# ruff: noqa: E402
from mmstan.compat.amp import allow_amp_without_gpu, count_bfloat16_scores
from mmstan.compat.checkpoints import load_checkpoints_of_runner, load_strictly
from mmstan.compat.distributed import allow_ddp_on_cpu, allow_launchers_without_gpu
from mmstan.compat.flexible_runner import keep_place_in_checkpoints
from mmstan.compat.imports import (
    replace_missing_drn,
    require_importlib_metadata,
    require_mmcv,
    restore_find_loader,
    silence_mmcv_lite,
    skip_vindlu_on_new_transformers,
)
from mmstan.compat.inferencers import accept_recognizer_inputs, keep_read_frames_in_inferencers
from mmstan.compat.mmdet import skip_mmpretrain_multimodal
from mmstan.compat.moved import import_moved_modules
from mmstan.compat.run_names import name_runs_apart
from mmstan.compat.scaled_lr import count_accumulated_steps

__all__ = ['apply', 'list_active']

_FIXES = (
    silence_mmcv_lite,
    replace_missing_drn,
    skip_vindlu_on_new_transformers,
    skip_mmpretrain_multimodal,
    restore_find_loader,
    import_moved_modules,
    load_checkpoints_of_runner,
    load_strictly,
    allow_launchers_without_gpu,
    allow_ddp_on_cpu,
    allow_amp_without_gpu,
    keep_place_in_checkpoints,
    count_bfloat16_scores,
    keep_read_frames_in_inferencers,
    accept_recognizer_inputs,
    name_runs_apart,
    count_accumulated_steps,
)
_active: dict[str, str] = {}


def apply() -> None:
    """Fix every fault that this environment has.

    Raises:
        ImportError: mmcv or importlib-metadata is missing or too new; the message has the command
            that installs it.
    """
    require_mmcv()
    require_importlib_metadata()
    if _late:
        _note(leave_transformers_for_later)
    for fix in _FIXES:
        if fix():
            _note(fix)


def _note(fix: Callable[[], bool]) -> None:
    from mmengine.logging import print_log

    _active[fix.__name__] = (fix.__doc__ or '').splitlines()[0]
    print_log(f'mmstan.compat: {_active[fix.__name__]}', 'current', logging.DEBUG)


def list_active() -> dict[str, str]:
    """List the faults that were found and fixed, each with one line that describes it."""
    return dict(_active)
