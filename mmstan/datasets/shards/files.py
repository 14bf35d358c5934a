"""Reads ranges of bytes of shards: local ones at once, remote ones by request or from a copy."""

from __future__ import annotations

import os
import time
import zlib
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from mmstan.datasets.readers import BrokenVideoError
from mmstan.datasets.readers.base import brief
from mmstan.datasets.shards.names import Shard, is_remote, open_filesystem

_OPEN_FILES = 256
_RETRIES = 5
_FIRST_PAUSE = 0.5  # seconds; each further one is twice as long


class ShardFiles:
    """Reads parts of shards; every worker has its own open files, at most 256 local ones.

    Copies are opened for a read only: one that is removed while it is open would take its room on.

    Args:
        cache_dir: Folder for copies of remote shards, made when a shard is first read. Without it
            every sample is a request.
        cache_gb: Gigabytes that the copies may take; the oldest are removed. No limit by default.
    """

    def __init__(self, cache_dir: str | None = None, cache_gb: float | None = None) -> None:
        self._open: OrderedDict[str, int] = OrderedDict()  # path -> descriptor, oldest first
        if cache_gb is not None and cache_dir is None:
            raise ValueError(f'cache_gb={cache_gb} limits the copies in cache_dir: set cache_dir')
        self.cache_dir = cache_dir
        self.cache_gb = cache_gb

    def read(self, shard: Shard, begin: int, end: int, name: str) -> bytes:
        """Read the bytes ``[begin, end)`` of a shard for the sample ``name``.

        Raises:
            BrokenVideoError: The shard is gone, is shorter than its index says, or cannot be read
                after five retries.
        """
        path = shard.url
        try:
            if is_remote(path):
                if self.cache_dir is None:
                    data = _retry(lambda: _fetch(path, begin, end))
                    return _check_length(data, end - begin, name)
                data = self._read_copy(shard, begin, end)
            else:
                data = _read_range(self._descriptor(path), begin, end)
            return _check_length(data, end - begin, name)
        except OSError as error:
            raise BrokenVideoError(name, f'cannot be read ({brief(error)})') from error

    def _read_copy(self, shard: Shard, begin: int, end: int) -> bytes:
        for _ in range(_RETRIES):
            path = self._copy(shard)
            try:
                with open(path, 'rb') as file:
                    return _read_range(file.fileno(), begin, end)
            except FileNotFoundError:
                pass  # another worker has removed it since
        raise OSError(f'{path} was removed {_RETRIES} times before it was read: raise cache_gb')

    def _descriptor(self, path: str) -> int:
        """Open a file, or take it from the open ones; the one not used for longest is closed."""
        if path not in self._open:
            if len(self._open) >= _OPEN_FILES:
                os.close(self._open.popitem(last=False)[1])
            self._open[path] = os.open(path, os.O_RDONLY)
        self._open.move_to_end(path)
        return self._open[path]

    def _copy(self, shard: Shard) -> str:
        """Copy a remote shard into the cache, if it is not there; returns its path."""
        folder = Path(self.cache_dir or '')
        name = shard.url.rpartition('/')[2]
        path = folder / f'{zlib.crc32(shard.url.encode()):08x}-{name}'
        if _has_size(path, shard.size):
            return str(path)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f'{path}.lock'):
            if not _has_size(path, shard.size):  # another worker may have copied it
                partial = Path(f'{path}.part')
                _retry(lambda: _download(shard.url, partial))
                os.replace(partial, path)
                self._evict(folder, keep=path)
        return str(path)

    def _evict(self, folder: Path, keep: Path) -> None:
        """Remove the oldest copies; other workers may do so at the same time."""
        if self.cache_gb is None:
            return
        copies = []
        for path in folder.glob('*.tar'):
            with suppress(FileNotFoundError):
                found = path.stat()
                copies.append((found.st_mtime_ns, path, found.st_size))
        total = sum(size for *_, size in copies)
        for _, path, size in sorted(copies):
            if total > self.cache_gb * 1e9 and path != keep:
                total -= size
                path.unlink(missing_ok=True)

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__, _open=OrderedDict())  # another process opens its own

    def __del__(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _read_range(descriptor: int, begin: int, end: int) -> bytes:
    """Read the bytes ``[begin, end)`` of a file, fewer where it ends before."""
    parts = []
    while begin < end:  # a read gives 2 GB at most
        part = os.pread(descriptor, end - begin, begin)
        if not part:
            break
        parts.append(part)
        begin += len(part)
    return parts[0] if len(parts) == 1 else b''.join(parts)


def _fetch(url: str, begin: int, end: int) -> bytes:
    system, path = open_filesystem(url)
    return system.cat_file(path, begin, end)


def _download(url: str, path: Path) -> None:
    system, remote = open_filesystem(url)
    system.get_file(remote, str(path))


def _retry(call: Any) -> Any:
    """Call until it works: at once, and up to five times more, at growing intervals.

    Raises:
        OSError: It failed every time, or the file is not there.
    """
    for attempt in range(_RETRIES + 1):
        try:
            return call()
        except FileNotFoundError:
            raise
        except Exception as error:  # each protocol has its own
            if attempt == _RETRIES:
                text = f'{type(error).__name__}: {brief(error)}; tried {_RETRIES + 1} times'
                raise OSError(text) from error
        time.sleep(_FIRST_PAUSE * 2**attempt)
    raise AssertionError('not reached')


def _check_length(data: bytes, expected: int, name: str) -> bytes:
    if len(data) != expected:
        raise BrokenVideoError(
            name, f'has {len(data)} of its {expected} bytes: its shard changed since it was indexed'
        )
    return data
