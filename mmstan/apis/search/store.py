"""An index in a folder: ``manifest.json``, names, features, and faiss's index of the frames.

The manifest is renamed into its place as the last step of every change, and says how many bytes of
the other files count. So a process that is stopped leaves the state before, and bytes behind it
that the next change cuts off. Names and features grow at the end; the other changes go into new
files, with the next number in their names, and the old ones are deleted.

Nothing in a folder is code, and every file is checked before it is used: the manifest and the names
are JSON, the features a plain array with a known size, and the index has the size and the SHA-256
that the manifest gives. The manifest itself is trusted: it can make a search find wrong videos, and
faiss's reader, which is C++, sees the file that it vouches for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from mmstan.apis.search.entries import Entry
from mmstan.apis.search.kinds import AGAIN, read_index, write_index
from mmstan.apis.search.manifest import NAME, Manifest, read_manifest
from mmstan.apis.search.names import format_names, read_names
from mmstan.apis.search.row_file import RowFile
from mmstan.apis.search.table import Table

_PARTS = ('names', 'frames', 'index')


class Store:
    """The files of an index.

    Args:
        folder: Where they are.
        manifest: The facts about them.
        table: Names, features and masks of all rows.
    """

    def __init__(self, folder: Path, manifest: Manifest, table: Table) -> None:
        self.folder, self.manifest, self.table = folder, manifest, table

    @classmethod
    def create(cls, folder: Path, manifest: Manifest) -> Store:
        """Make the files of an index without videos.

        Raises:
            FileExistsError: The folder holds other files.
        """
        own = (*_PARTS, '.lock', f'{NAME}.tmp')
        others = [p.name for p in sorted(folder.iterdir()) if p.name.partition('-')[0] not in own]
        if others:
            raise FileExistsError(
                f'{folder} holds other files ({others[0]}); give a new or empty folder'
            )
        for part in ('names', 'frames'):
            manifest.file(folder, part).write_bytes(b'')
        manifest = manifest.check('names', manifest.file(folder, 'names'))
        manifest.write(folder)
        return cls.read(folder)

    @classmethod
    def read(cls, folder: Path) -> Store:
        """Read the folder of an index, all but faiss's index.

        Raises:
            FileNotFoundError: It holds no index.
            ValueError: A file is damaged or missing; the message names it.
        """
        manifest = read_manifest(folder)
        entries, mask = read_names(manifest, manifest.file(folder, 'names'))
        return cls(folder, manifest, Table(entries, _open_features(manifest, folder), mask))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Within, no other process changes the folder."""
        with lock_folder(self.folder):
            if read_manifest(self.folder) != self.manifest:
                raise ValueError(f'{self.folder} was changed by another process; open it again')
            yield

    def read_index(self, *, writable: bool = False) -> Any:
        """Faiss's index of the frames, after its file was checked.

        Raises:
            ValueError: The file is damaged or holds something else.
        """
        path = self.manifest.file(self.folder, 'index')
        self.manifest.verify('index', path)
        return read_index(path, self.manifest.kind, dim=self.manifest.dim, writable=writable)

    def append(self, entries: list[Entry], features: np.ndarray, mask: np.ndarray) -> None:
        """Write more videos; they count from now on, and are not yet in the index of the frames.

        Raises:
            ValueError: The features have another shape, or do not fit the type of the store.
        """
        manifest = self.manifest
        stored = _convert(features, manifest)
        path = manifest.file(self.folder, 'names')
        _write_at(path, manifest.checks['names'][0], format_names(entries, mask))
        frames = manifest.file(self.folder, 'frames')
        _write_at(frames, manifest.rows * manifest.row_bytes, stored.tobytes())
        manifest = replace(manifest, rows=manifest.rows + len(entries)).check('names', path)
        every = np.concatenate([self.table.mask, mask])
        self._commit(manifest, [*self.table.entries, *entries], every)

    def remove(self, rows: np.ndarray) -> None:
        """Forget the names of some rows, which takes them out of every search."""
        gone = set(rows.tolist())
        entries = [None if i in gone else entry for i, entry in enumerate(self.table.entries)]
        manifest = self.manifest.next_file('names')
        path = manifest.file(self.folder, 'names')
        _write_at(path, 0, format_names(entries, self.table.mask))
        self._commit(manifest.check('names', path), entries, self.table.mask)

    def compact(self) -> None:
        """Write names and features again without the rows that were removed.

        The index of the frames, which knows the rows by their numbers, is dropped.
        """
        rows = np.flatnonzero(self.table.alive)
        entries, mask = [self.table.entries[row] for row in rows], self.table.mask[rows]
        manifest = self.manifest.next_file('names').next_file('frames')
        path, frames = (manifest.file(self.folder, part) for part in ('names', 'frames'))
        _write_at(path, 0, format_names(entries, mask))
        with open(frames, 'wb') as file:
            for start in range(0, len(rows), 1024):
                file.write(self.table.features[rows[start : start + 1024]].tobytes())
            _sync(file)
        checks = {'names': manifest.check('names', path).checks['names']}
        self._commit(replace(manifest, rows=len(rows), indexed=0, checks=checks), entries, mask)

    def write_index(self, index: Any, kind: str, **changes: Any) -> None:
        """Write faiss's index of all rows, None for ``'brute'``, and other facts."""
        facts = dict(dict(kind=kind, indexed=self.manifest.rows), **changes)
        manifest = replace(self.manifest, **facts).next_file('index')
        if index is None:
            manifest = replace(manifest, checks={'names': manifest.checks['names']})
        else:
            path = manifest.file(self.folder, 'index')
            write_index(index, path)
            with open(path, 'rb+') as file:
                _sync(file)
            manifest = manifest.check('index', path)
        self._commit(manifest, self.table.entries, self.table.mask)

    def write_facts(self, **changes: Any) -> None:
        """Write a manifest with other facts; no file changes."""
        self._commit(replace(self.manifest, **changes), self.table.entries, self.table.mask)

    def _commit(self, manifest: Manifest, entries: list[Entry | None], mask: np.ndarray) -> None:
        """Let the files of a manifest count, and delete the ones that no longer do."""
        old, self.manifest = self.manifest, manifest
        manifest.write(self.folder)
        self.table = Table(entries, _open_features(manifest, self.folder), mask)
        for part in _PARTS:
            before, now = old.file(self.folder, part), manifest.file(self.folder, part)
            if before != now:
                before.unlink(missing_ok=True)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Within, no other process is in such a block with the same folder.

    Raises:
        ValueError: Another process is in one.
    """
    try:
        with FileLock(folder / '.lock', timeout=0):
            yield
    except Timeout:
        raise ValueError(f'{folder} is being changed by another process; wait for it') from None


def has_index(folder: Path) -> bool:
    """Whether a folder holds an index, finished or not."""
    return (folder / NAME).is_file()


def _open_features(manifest: Manifest, folder: Path) -> np.ndarray | RowFile:
    """The stored features (rows, T, D).

    Raises:
        ValueError: The file is shorter than that.
    """
    shape, dtype = (manifest.rows, manifest.frames, manifest.dim), np.dtype(manifest.store)
    if not manifest.rows:
        return np.empty(shape, dtype)
    path = manifest.file(folder, 'frames')
    wanted, there = manifest.rows * manifest.row_bytes, path.stat().st_size if path.is_file() else 0
    if there < wanted:
        raise ValueError(
            f'{path}: has {there} bytes, and {manifest.rows} videos of {shape[1]} x {shape[2]} '
            f'{manifest.store} are {wanted}; {AGAIN}'
        )
    return RowFile(path, shape, dtype)


def _convert(features: np.ndarray, manifest: Manifest) -> np.ndarray:
    if features.shape[1:] != (manifest.frames, manifest.dim):
        raise ValueError(
            f'features {features.shape[1:]} of a video, and the index holds '
            f'{(manifest.frames, manifest.dim)}; encode with the model and pipeline of the index'
        )
    with np.errstate(over='ignore'):
        stored = features.astype(manifest.store)
    if not np.isfinite(stored).all():
        raise ValueError(
            f'features up to {np.abs(features).max():.3g} do not fit {manifest.store}: build the '
            "index with store='float32'"
        )
    return stored


def _write_at(path: Path, offset: int, data: bytes) -> None:
    """Write ``data`` behind the bytes that count, in the place of the ones that do not."""
    with open(path, 'r+b' if offset else 'wb') as file:
        file.seek(offset)
        file.truncate()
        file.write(data)
        _sync(file)


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
