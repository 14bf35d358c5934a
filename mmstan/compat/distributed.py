"""Distributed runs on machines without a GPU."""

import atexit
import functools
import gc
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from torch import nn

_LAUNCHERS = ('_init_dist_pytorch', '_init_dist_slurm', '_init_dist_mpi')


def allow_launchers_without_gpu() -> bool:
    """MMEngine 0.10.7's launchers call ``torch.cuda.set_device`` where there is no GPU.

    ``--launcher pytorch``, ``slurm`` and ``mpi`` therefore fail on CPU, with every backend; no
    thread at MMEngine was found. The call is left out, and NCCL, the default, becomes gloo.
    """
    from mmengine.dist import utils

    if torch.cuda.is_available() or hasattr(utils._init_dist_pytorch, '__wrapped__'):
        return False
    for name in _LAUNCHERS:
        setattr(utils, name, _run_on_gloo(getattr(utils, name)))
    return True


def _run_on_gloo(launch: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(launch)
    def launch_on_gloo(backend: str, **kwargs: Any) -> None:
        from mmengine.logging import print_log

        if 'nccl' in backend:
            print_log('No GPU: the processes talk through gloo instead of NCCL', 'current')
            backend = 'gloo'
        with mock.patch.object(torch.cuda, 'set_device'):
            launch(backend, **kwargs)
        atexit.register(leave_group)

    return launch_on_gloo


def leave_group() -> None:
    """Stop gloo's threads; a process that ends with them running may abort (pytorch#190489).

    The threads end with the last reference to the group. A DDP model has one, and MMEngine's Runner
    is a reference cycle that holds the model until garbage is collected.
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        gc.collect()


def allow_ddp_on_cpu() -> bool:
    """MMEngine 0.10.7's Runner hands ``device_ids`` to DDP for models on the CPU too.

    DistributedDataParallel refuses that (ValueError); PR mmengine#351 added the argument for GPUs.
    """
    from mmengine.model import MMDistributedDataParallel

    init = MMDistributedDataParallel.__init__
    if torch.cuda.is_available() or hasattr(init, '__wrapped__'):
        return False

    @functools.wraps(init)
    def init_on_cpu(self: nn.Module, module: nn.Module, *args: Any, **kwargs: Any) -> None:
        init(self, module, *args, **{**kwargs, 'device_ids': None})

    MMDistributedDataParallel.__init__ = init_on_cpu
    return True
