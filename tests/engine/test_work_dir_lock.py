import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pytest

from mmstan.engine.work_dir_lock import claim_work_dir

# Without the packages that `import mmstan` loads, which take seconds.
HOLDER = """
import importlib.util, sys, time
spec = importlib.util.spec_from_file_location('lock', sys.argv[1])
lock = importlib.util.module_from_spec(spec)
sys.modules['mmengine.logging'] = __import__('types').SimpleNamespace(print_log=print)
spec.loader.exec_module(lock)
with lock.claim_work_dir(sys.argv[2]):
    print('locked', flush=True)
    time.sleep(60)
"""


def test_second_is_refused_and_a_killed_one_leaves_nothing(work_dir: Path) -> None:
    source = sys.modules[claim_work_dir.__module__].__file__
    assert source is not None
    command = [sys.executable, '-c', HOLDER, source, str(work_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b'locked\n'
        year = time.strftime('%Y')
        named = rf'in use by another training: process {holder.pid} on \S+ since {year}.*{work_dir}'
        with pytest.raises(ValueError, match=named), claim_work_dir(work_dir):
            pass
        holder.kill()
    for _ in range(2):
        with claim_work_dir(work_dir):
            assert f'process {os.getpid()} on' in (work_dir / '.lock').read_text()


def test_other_ranks_leave_it_to_the_first(work_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('RANK', '1')
    with claim_work_dir(work_dir), claim_work_dir(work_dir, launcher='pytorch'):
        pass
    with claim_work_dir(work_dir), pytest.raises(ValueError, match='in use'):
        claim_work_dir(work_dir).__enter__()  # RANK of another launcher


@mock.patch('fcntl.flock', side_effect=OSError(errno.ENOSYS, 'not implemented'))
def test_file_system_without_locks(
    _: mock.Mock, work_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with claim_work_dir(work_dir):
        pass
    assert 'cannot be locked (not implemented)' in capfd.readouterr().out
