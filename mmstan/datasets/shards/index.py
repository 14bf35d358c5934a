"""The index of shards: where each sample lies, in one file that all processes map into memory."""

from __future__ import annotations

import logging
import os
import sys
import zipfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock
from mmengine.logging import print_log

from mmstan.datasets.mapped_arrays import map_npz, write_npz
from mmstan.datasets.shards.names import Shard, is_remote, stat_local
from mmstan.datasets.shards.scan import MEMBERS, ShardContents, scan_shard
from mmstan.wording import count_things, name_a_few

INDEX_NAME = 'index.npz'
_VERSION = 1
_FIELDS = ('first', 'suffix', *(f'{m}_{what}' for m in MEMBERS for what in ('at', 'length')))


class ShardIndex(NamedTuple):
    """The samples of S shards, N in all, in the order of the shards.

    Attributes:
        names: (S,) paths relative to the index's folder where they are below it.
        sizes: (S,) int64, bytes of the tars when they were read.
        mtimes: (S,) int64, their times of change in nanoseconds.
        problems: (S,) why a tar could not be read to its end, '' if it could.
        starts: (S + 1,) int64; shard s has the samples starts[s] to starts[s + 1] - 1.
        fields: The arrays of :class:`~mmstan.datasets.shards.scan.ShardContents` by name, (N,)
            each, and ``keys`` (bytes of all keys in a row) with ``key_starts`` (N + 1,).
    """

    names: np.ndarray
    sizes: np.ndarray
    mtimes: np.ndarray
    problems: np.ndarray
    starts: np.ndarray
    fields: dict[str, np.ndarray]

    def get_key(self, row: int) -> str:
        """Get the name of a sample, as it is in the tar."""
        begin, end = self.fields['key_starts'][row : row + 2]
        return self.fields['keys'][begin:end].tobytes().decode(errors='surrogateescape')

    def find_shard(self, row: int) -> int:
        """Find the shard of a sample."""
        return int(np.searchsorted(self.starts, row, side='right')) - 1


def open_index(
    shards: Sequence[Shard], path: str, *, workers: int = 1
) -> tuple[ShardIndex, np.ndarray]:
    """Open the index of ``shards``; make it, or renew its outdated shards, where it does not fit.

    The first process does that, and all others of the machine wait for it. A tar is outdated if its
    size differs from the size in the index, or if it was changed after it was indexed. Shards of
    the index that are not asked for stay in it.

    Args:
        shards: The shards that are read.
        path: File of the index, ``.npz``.
        workers: Processes that read headers.

    Returns:
        The index, and the places of ``shards`` in it.

    Raises:
        ValueError: The index does not fit and cannot be written.
    """
    index = read_index(path)
    places = _find_places(index, shards, path)
    if index is not None and (places >= 0).all():
        return index, places
    if index is not None and not os.access(os.path.dirname(path) or os.curdir, os.W_OK):
        known = _find_places(index, shards, path, by_time=False)
        if (known >= 0).all():
            print_log(
                f'{path}: some shards are newer than their index, which cannot be written: it is '
                'used since their sizes are the same. Copy with dates (cp -p), or give index=',
                logger='current',
                level=logging.WARNING,
            )
            return index, known
    _require_writable(path, index, places)
    with FileLock(f'{path}.lock'):
        index = read_index(path)  # another process may have made it in the meantime
        places = _find_places(index, shards, path)
        if (places < 0).any():
            _renew(index, shards, places, path, workers)
            index = read_index(path)
            places = _find_places(index, shards, path)
    if index is None or (places < 0).any():
        raise ValueError(f'{path}: shards changed while they were indexed; start again')
    return index, places


def read_index(path: str) -> ShardIndex | None:
    """Map an index into memory; None where there is none, or a damaged one, which is logged."""
    if not os.path.exists(path):
        return None
    try:
        arrays = map_npz(path)
        if arrays.pop('version') != _VERSION:
            raise ValueError('it is of another version of mmstan')
        fields = {name: arrays.pop(name) for name in (*_FIELDS, 'keys', 'key_starts')}
        return ShardIndex(**arrays, fields=fields)
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        print_log(
            f'{path} cannot be read ({error}); the shards are indexed again',
            logger='current',
            level=logging.WARNING,
        )
        return None


def resolve(name: str, path: str) -> str:
    """Give the address of a shard from its name in the index at ``path``."""
    return name if is_remote(name) else os.path.join(os.path.dirname(path), name)


def _shorten(url: str, path: str) -> str:
    """Name a shard in the index at ``path``: relative where it lies below the index's folder."""
    if is_remote(url):
        return url
    relative = os.path.relpath(url, os.path.dirname(path) or os.curdir)
    return os.path.abspath(url) if relative.startswith(os.pardir) else relative


def _find_places(
    index: ShardIndex | None, shards: Sequence[Shard], path: str, *, by_time: bool = True
) -> np.ndarray:
    """Find each shard in the index; -1 where it is not there or was changed."""
    if index is None:
        return np.full(len(shards), -1)
    written = os.stat(path).st_mtime_ns if by_time else sys.maxsize
    known = {name: place for place, name in enumerate(index.names.tolist())}
    places = [known.get(_shorten(shard.url, path), -1) for shard in shards]
    return np.array(
        [
            place if place >= 0 and _fits(index, place, shard, written) else -1
            for place, shard in zip(places, shards)
        ]
    )


def _fits(index: ShardIndex, place: int, shard: Shard, written: int) -> bool:
    """Whether a shard is as the index says, which was written at this time in nanoseconds.

    Tars are padded, so that a changed one may keep its size. A copy has another time than the
    original, and may be older than the copy of its index.
    """
    changed = shard.mtime > max(int(index.mtimes[place]), written)
    return shard.size == index.sizes[place] and not changed


def _require_writable(path: str, index: ShardIndex | None, places: np.ndarray) -> None:
    folder = os.path.dirname(path) or os.curdir
    if os.access(folder, os.W_OK) and (not os.path.exists(path) or os.access(path, os.W_OK)):
        return
    missing = int((places < 0).sum())
    fits = (
        f'has {len(index.names)} shards, which are {len(places) - missing} of the {len(places)} '
        'wanted'
        if index is not None
        else 'does not exist'
    )
    raise ValueError(
        f'index={path!r} {fits}, and {folder} cannot be written; set index= to a file that can be '
        'written, or write it there with tools/index_shards.py'
    )


def _renew(
    index: ShardIndex | None, shards: Sequence[Shard], places: np.ndarray, path: str, workers: int
) -> None:
    """Read the headers of the shards without a place, and write them with the known ones."""
    wanted = [shard for shard, place in zip(shards, places) if place < 0]
    print_log(
        f'{path}: indexing {count_things(len(wanted), "shard")}, {sum(s.size for s in wanted):,} '
        f'bytes: {name_a_few(shard.url for shard in wanted)}',
        'current',
    )
    contents = dict(zip(wanted, _scan_all(wanted, workers)))
    outdated = {_shorten(shard.url, path) for shard in wanted}
    if index is not None:
        written = os.stat(path).st_mtime_ns
        for place, name in enumerate(index.names.tolist()):
            known = Shard(resolve(name, path), int(index.sizes[place]), int(index.mtimes[place]))
            # As it is now: of the new index it would be seen no more that it was changed.
            now = known if is_remote(known.url) else stat_local(known.url)
            if name not in outdated and _fits(index, place, now, written):
                contents[known] = _take(index, place)
    write_index(path, contents.items())


def _scan_all(shards: Sequence[Shard], workers: int) -> Iterable[ShardContents]:
    if workers <= 1 or len(shards) <= 1:
        return map(scan_shard, shards)
    with ProcessPoolExecutor(workers, mp_context=get_context('fork')) as pool:
        return list(pool.map(scan_shard, shards, chunksize=4))


def _take(index: ShardIndex, place: int) -> ShardContents:
    """Take the samples of one shard out of an index."""
    rows = slice(int(index.starts[place]), int(index.starts[place + 1]))
    fields = index.fields
    at = np.stack([fields[f'{member}_at'][rows] for member in MEMBERS])
    length = np.stack([fields[f'{member}_length'][rows] for member in MEMBERS])
    ends = fields['key_starts'][rows.start : rows.stop + 1]
    return ShardContents(
        str(index.problems[place]),
        fields['first'][rows],
        at,
        length,
        fields['suffix'][rows],
        fields['keys'][ends[0] : ends[-1]],
        np.diff(ends),
    )


def write_index(path: str, contents: Iterable[tuple[Shard, ShardContents]]) -> None:
    """Write an index, the shards in the order of their names, whole or not at all."""
    pairs = sorted((_shorten(shard.url, path), shard, found) for shard, found in contents)
    found = [each for *_, each in pairs]
    fields: dict[str, Any] = {
        'first': np.concatenate([each.first for each in found]),
        'suffix': np.concatenate([each.suffix for each in found]),
        'keys': np.concatenate([each.keys for each in found]),
        'key_starts': _add_up(np.concatenate([each.key_length for each in found])),
    }
    for row, member in enumerate(MEMBERS):
        fields[f'{member}_at'] = np.concatenate([each.at[row] for each in found])
        fields[f'{member}_length'] = np.concatenate([each.length[row] for each in found])
    write_npz(
        path,
        version=np.array([_VERSION]),
        names=np.array([name for name, *_ in pairs]),
        sizes=np.array([shard.size for _, shard, _ in pairs]),
        mtimes=np.array([shard.mtime for _, shard, _ in pairs]),
        problems=np.array([each.problem for each in found]),
        starts=_add_up(np.array([len(each.first) for each in found])),
        **fields,
    )


def _add_up(lengths: np.ndarray) -> np.ndarray:
    """Turn lengths into starts: [2, 3] -> [0, 2, 5]."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
