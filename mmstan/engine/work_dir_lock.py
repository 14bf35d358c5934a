"""A lock that keeps a second training out of a work dir."""

from __future__ import annotations

import errno
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from mmengine.logging import print_log

_RANKS = {'pytorch': 'RANK', 'slurm': 'SLURM_PROCID', 'mpi': 'OMPI_COMM_WORLD_RANK'}


@contextmanager
def claim_work_dir(work_dir: str | os.PathLike[str], *, launcher: str = 'none') -> Iterator[None]:
    """Keep other trainings out of ``work_dir``; the folder is made if it does not exist.

    The first process of a run locks the file ``.lock`` in it and writes its own description there.
    The operating system releases the lock when the process ends, also after a kill. Network file
    systems do the same between machines if they support ``flock`` (NFS does, Lustre where it is
    mounted so). On other file systems nothing is locked, and a warning says so.

    Raises:
        ValueError: Another training has it; the message names process, machine, time and command.
    """
    if int(os.environ.get(_RANKS.get(launcher, ''), 0)):
        yield
        return
    path = Path(work_dir, '.lock')
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise ValueError(
            f'{work_dir} is in use by another training: {path.read_text().strip() or "unnamed yet"}'
            '; wait for it, stop it, or give another --work-dir'
        ) from error
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
            raise
        print_log(
            f'{path} cannot be locked ({error.strerror}): nothing keeps a second training out'
        )
        yield
        return
    try:
        path.write_text(_name_this_run() + '\n')
        yield
    finally:
        lock.release()


def _name_this_run() -> str:
    since = time.strftime('%Y-%m-%d %H:%M:%S')
    return f'process {os.getpid()} on {socket.gethostname()} since {since} ({shlex.join(sys.argv)})'
