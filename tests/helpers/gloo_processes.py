"""Several gloo processes on the CPU of this machine, forked from one that has imported already.

Importing takes ten times as long as what they are to do.
"""

import importlib.util
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

_forks = multiprocessing.get_context('forkserver')
_TIMEOUT = 120  # seconds


def run_ranks(
    function: str, folder: Path, *arguments: str, processes: int = 2, timeout: float = _TIMEOUT
) -> None:
    """Call ``FILE:NAME`` with ``folder`` and ``arguments`` in each of ``processes``.

    They find in their environment what a launcher gives them. What one says is in
    ``folder/rankR.txt``, which fails the test if one of them does.
    """
    folder.mkdir(exist_ok=True)
    port, running = free_port(), []
    with pytest.MonkeyPatch.context() as patch:  # of the server, which the first one starts
        patch.setenv('CUDA_VISIBLE_DEVICES', '')
        patch.setenv('OMP_NUM_THREADS', '1')
        patch.setenv('PYTHONPATH', os.pathsep.join(sys.path))
        _forks.set_forkserver_preload(['mmstan.datasets', 'mmstan.models', 'mmstan.evaluation'])
        for rank in range(processes):
            call = (function, folder, arguments, rank, processes, port)
            running.append(_forks.Process(target=_run_rank, args=call))
            running[-1].start()
    for process in running:
        process.join(timeout)
    failed = [process.exitcode != 0 for process in running]  # None: it has not ended
    for process in running:
        process.kill()
    said = [(folder / f'rank{rank}.txt').read_text() for rank in range(processes)]
    assert not any(failed), '\n'.join(said)


def free_port() -> int:
    """For the processes to meet at."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def load_function(function: str) -> Callable[..., Any]:
    """``FILE:NAME`` -> the function."""
    path, _, name = function.rpartition(':')
    spec = importlib.util.spec_from_file_location('gloo_case', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def _run_rank(
    function: str, folder: Path, arguments: tuple[str, ...], rank: int, processes: int, port: int
) -> None:
    with open(folder / f'rank{rank}.txt', 'wb') as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.environ.update(
        WORLD_SIZE=str(processes),
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )
    os.chdir(folder)  # MMEngine exchanges results in ./.dist_test
    torch.set_num_threads(1)
    load_function(function)(folder, *arguments)
