"""What MMAction2 1.2 and MMEngine 0.10 need to run on a current stack, mended from outside.

One function a fault; each names fault, versions and upstream thread, looks whether it applies,
returns whether it mended something, and does nothing the second time. ``import mmstan`` calls
:func:`apply`. Faults that need only a package (importlib-metadata, setuptools) are mended by
requirements.txt.
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

_MENDS = (
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
    """Mend every fault that this environment has.

    Raises:
        ImportError: mmcv or importlib-metadata is missing or too new; says what to type.
    """
    from mmengine.logging import print_log

    require_mmcv()
    require_importlib_metadata()
    for mend in _MENDS:
        if mend():
            _active[mend.__name__] = (mend.__doc__ or '').splitlines()[0]
            print_log(f'mmstan.compat: {_active[mend.__name__]}', 'current', logging.DEBUG)


def active() -> dict[str, str]:
    """Name the faults that were found and mended, each with one line that describes it."""
    return dict(_active)
