"""Fixes for MMAction2 1.2 and MMEngine 0.10 on a current stack, applied from outside.

There is one function for each fault. Its docstring names fault, versions and upstream thread. It
checks whether the fault is present, fixes it, returns whether it did, and does nothing the second
time. ``import mmstan`` calls :func:`apply`. requirements.txt fixes faults that need only a package
(importlib-metadata, setuptools).
"""

import logging

from mmstan.compat.amp import amp_without_gpu
from mmstan.compat.checkpoints import checkpoints_of_runner, strict_checkpoints
from mmstan.compat.distributed import ddp_on_cpu, launchers_without_gpu
from mmstan.compat.imports import (
    missing_drn,
    removed_find_loader,
    require_importlib_metadata,
    require_mmcv,
    vindlu_on_new_transformers,
)
from mmstan.compat.inferencers import inferencers_of_read_frames, recognizer_inputs
from mmstan.compat.moved import import_moved_modules

__all__ = ['active', 'apply']

_FIXES = (
    missing_drn,
    vindlu_on_new_transformers,
    removed_find_loader,
    import_moved_modules,
    checkpoints_of_runner,
    strict_checkpoints,
    launchers_without_gpu,
    ddp_on_cpu,
    amp_without_gpu,
    inferencers_of_read_frames,
    recognizer_inputs,
)
_active: dict[str, str] = {}


def apply() -> None:
    """Fix every fault that this environment has.

    Raises:
        ImportError: mmcv or importlib-metadata is missing or too new; the message has the command
            that installs it.
    """
    from mmengine.logging import print_log

    require_mmcv()
    require_importlib_metadata()
    for fix in _FIXES:
        if fix():
            _active[fix.__name__] = (fix.__doc__ or '').splitlines()[0]
            print_log(f'mmstan.compat: {_active[fix.__name__]}', 'current', logging.DEBUG)


def active() -> dict[str, str]:
    """List the faults that were found and fixed, each with one line that describes it."""
    return dict(_active)
