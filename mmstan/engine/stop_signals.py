"""SIGTERM and Ctrl-C: noted when they come, heard where a run can be left."""

from __future__ import annotations

import mmap
import os
import signal
import threading
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size

_NOTE = (
    'stops at the end of this iteration, with a checkpoint; Ctrl-C (again) stops at once, without'
)


class StopSignals:
    """A context in which SIGTERM, which schedulers send, and SIGINT (Ctrl-C) are noted.

    After a first signal of either kind a SIGINT ends the process at once, with status 130. Another
    SIGTERM changes nothing: a launcher and the scheduler above it may both send one. The forked
    workers of data loaders survive both signals as long as the context lasts, for the batches that
    are still wanted; signals often go to all processes of a job.

    In a thread signals cannot be handled, and nothing is changed there.

    Attributes:
        received: The number of the first signal, 0 before.
    """

    def __init__(self) -> None:
        self.received = 0
        self._pid = os.getpid()
        self._leading = get_rank() == 0
        self._over = mmap.mmap(-1, 1)  # a byte that forked workers see too
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        self._over[0] = 1
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def agree(self) -> int:
        """The signal that any of the processes has received, 0 for none; all have to ask."""
        if get_world_size() == 1:
            return self.received
        received = torch.tensor(self.received)
        all_reduce(received, op='max')
        return int(received)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            # A worker of a data loader. What its parent sends at the very end counts.
            if self._over[0] and number == signal.SIGTERM:
                os._exit(128 + number)
            return
        if self.received and number == signal.SIGINT:
            os._exit(128 + number)
        if not self.received and self._leading:
            # Not print: the signal may have come while something was being printed.
            os.write(2, f'\n{signal.Signals(number).name}: training {_NOTE}\n'.encode())
        self.received = self.received or number
