"""SIGTERM and Ctrl-C: noted when they come, obeyed where a run can be stopped."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from torch.utils.data import DataLoader

_NOTE = (
    'stops at the end of this iteration, with a checkpoint; Ctrl-C (again) stops at once, without'
)


class StopSignals:
    """A context that notes SIGTERM, which schedulers send, and SIGINT (Ctrl-C).

    After a first signal of either kind, SIGINT ends the process at once, with status 130. Another
    SIGTERM changes nothing: a launcher and the scheduler above it may both send one. Signals often
    go to all processes of a job. The forked workers of ``loaders`` survive both signals within the
    context, because the loop still needs their batches.

    A thread other than the main one cannot handle signals; there the context does nothing.

    Attributes:
        received: The number of the first signal, 0 before it.
    """

    def __init__(self, *loaders: DataLoader) -> None:
        self.received = 0
        self._loaders = loaders
        self._pid = os.getpid()
        self._leading = get_rank() == 0
        self._over = mmap.mmap(-1, 1)  # a byte that forked workers see too
        self._before: dict[int, Any] = {}
        self._init_worker = [loader.worker_init_fn for loader in loaders]

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
            if multiprocessing.get_start_method() == 'fork':
                for loader, init in zip(self._loaders, self._init_worker):
                    loader.worker_init_fn = partial(self._shield_worker, init)
        return self

    def __exit__(self, *error: object) -> None:
        self._over[0] = 1
        for number, handler in self._before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        for loader, init in zip(self._loaders, self._init_worker):
            loader.worker_init_fn = init

    def _shield_worker(self, init: Callable[[int], None] | None, worker: int) -> None:
        # PyTorch has set a handler of its own for SIGTERM in the worker.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)
        if init is not None:
            init(worker)

    def agree(self) -> int:
        """Return a signal that any process has received, or 0; all processes have to call it."""
        if get_world_size() == 1:
            return self.received
        received = torch.tensor(self.received)
        all_reduce(received, op='max')
        return int(received)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            # In a worker of a data loader only the parent's signal after the context counts.
            if self._over[0] and number == signal.SIGTERM:
                os._exit(0)
            return
        if self.received and number == signal.SIGINT:
            os._exit(128 + number)
        if not self.received and self._leading:
            # Not print: the signal may have come while something was being printed.
            os.write(2, f'\n{signal.Signals(number).name}: training {_NOTE}\n'.encode())
        self.received = self.received or number
