"""Bring an index folder up to date: encode, forget, and renew the index of the frames."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log
from tqdm import tqdm

from mmstan.apis.search.encode import Broken, Encoder
from mmstan.apis.search.entries import Entry, Segments, describe_file, list_entries
from mmstan.apis.search.kinds import LEAST_FRAMES, choose_kind, has_faiss, make_index, remove_ids
from mmstan.apis.search.manifest import Manifest
from mmstan.apis.search.store import Store
from mmstan.apis.search.table import BLOCK, Table, spread_rows
from mmstan.datasets.readers import BrokenVideoError
from mmstan.wording import name_a_few

_TRAINING_ROWS = 8_192  # videos from which quantisers learn

Start = Callable[[int, int], Store]
"""Makes the store, once T and D are known."""


def list_all(paths: Iterable[str], segments: Segments | None) -> tuple[list[Entry], Broken]:
    """The entries of videos, and the videos that have none because they cannot be read."""
    entries: list[Entry] = []
    broken: Broken = []
    for path in paths:
        try:
            entries += list_entries(path, segments)
        except BrokenVideoError as error:
            broken.append((error.filename, error.reason))
    return entries, broken


def find_new(table: Table, entries: Iterable[Entry]) -> list[Entry]:
    """The entries that no row has, neither their place nor in their present state."""
    known = {entry for entry in table.entries if entry is not None}
    return [entry for entry in dict.fromkeys(entries) if entry not in known]


def find_stale(table: Table, entries: Iterable[Entry], broken: Broken) -> np.ndarray:
    """Rows of files in a state that is not the files' present one.

    Args:
        table: The videos of an index.
        entries: Videos as they are now.
        broken: Videos that have no entries; the rows of one stay unless it is there and changed.
    """
    now = {entry.path: (entry.size, entry.mtime) for entry in entries}
    for path, _ in broken:
        with suppress(BrokenVideoError):  # it is missing
            now[path] = describe_file(path)[1:3]
    stale = [
        row
        for row, entry in enumerate(table.entries)
        if entry is not None and now.get(entry.path, entry[1:3]) != entry[1:3]
    ]
    return np.array(stale, np.int64)


def encode_all(
    encoder: Encoder, entries: list[Entry], store: Store | None, start: Start
) -> tuple[Store | None, Broken]:
    """Encode videos and append them, a block at a time; a process that is stopped keeps blocks.

    Args:
        encoder: The model.
        entries: The videos.
        store: Where to append them; None makes it at the first video that can be read.
        start: Makes the store.

    Returns:
        The store, and the videos that cannot be read.
    """
    broken: Broken = []
    with tqdm(total=len(entries), desc='encoding', unit='video', disable=None) as bar:
        for begin in range(0, len(entries), BLOCK):
            block = encoder.encode(entries[begin : begin + BLOCK])
            broken += block.broken
            if block.entries:
                store = start(*block.features.shape[1:]) if store is None else store
                store.append(block.entries, block.features, block.mask)
            bar.update(len(entries[begin : begin + BLOCK]))
    return store, broken


def report_broken(broken: Broken, folder: Path) -> None:
    """Log which videos are not in the index because they cannot be read."""
    if broken:
        named = name_a_few(f'{name}: {reason}' for name, reason in broken)
        print_log(
            f'{folder}: {len(broken)} videos cannot be read and are left out: {named}',
            'current',
            logging.WARNING,
        )


def forget_rows(store: Store, rows: np.ndarray) -> None:
    """Take rows out of an index; when most rows are gone, write the files without them."""
    if not len(rows):
        return
    manifest = store.manifest
    store.remove(rows)
    alive = store.table.alive
    frames = int(store.table.mask[alive].sum())
    if 2 * alive.sum() < len(alive) and frames >= LEAST_FRAMES.get(manifest.kind, 0):
        store.compact()
        return
    indexed = rows[rows < manifest.indexed]
    if manifest.kind not in ('brute', 'hnsw') and len(indexed) and has_faiss():
        index = store.read_index(writable=True)
        remove_ids(index, _list_ids(indexed, manifest), manifest.kind)
        store.write_index(index, manifest.kind, indexed=manifest.indexed)


def _list_ids(rows: np.ndarray, manifest: Manifest) -> np.ndarray:
    return (rows[:, None] * manifest.stride + np.arange(manifest.frames)).ravel().astype(np.int64)


def renew_index(store: Store, **changes: Any) -> None:
    """Put the rows that are not in the index of the frames into it, or build it.

    It is built where there is none, and where ``auto`` stands for another kind by now.
    """
    manifest, table = store.manifest, store.table
    if not manifest.rows:
        store.write_facts(**changes)
        return
    kind = choose_store_kind(manifest, table)
    if kind == 'brute':
        store.write_index(None, kind, **changes)
        return
    new = kind != manifest.kind or not manifest.indexed
    if new:
        rows = np.flatnonzero(table.alive)
        index = make_index(kind, _sample_frames(table, rows), int(table.mask[rows].sum()))
    else:
        rows = manifest.indexed + np.flatnonzero(table.alive[manifest.indexed :])
        if not len(rows):
            store.write_facts(indexed=manifest.rows, **changes)
            return
        index = store.read_index(writable=True)
    for ids, frames in table.unit_frames(rows, manifest.stride):
        index.add_with_ids(frames, ids)
    store.write_index(index, kind, **changes)


def choose_store_kind(manifest: Manifest, table: Table) -> str:
    """The kind that an index has for the videos that it holds now."""
    alive = table.alive
    wanted = 'auto' if manifest.auto else manifest.kind
    return choose_kind(wanted, frames=int(table.mask[alive].sum()), clips=int(alive.sum()))


def _sample_frames(table: Table, rows: np.ndarray) -> np.ndarray:
    chosen = spread_rows(rows, _TRAINING_ROWS)
    return np.concatenate([frames for _, frames in table.unit_frames(chosen, 1)])


def find_gone(table: Table) -> np.ndarray:
    """Rows whose files no longer exist.

    Raises:
        ValueError: All of them are gone, as if a disk were not mounted.
    """
    paths = {entry.path for entry in table.entries if entry is not None}
    missing = {path for path in paths if not os.path.exists(path)}
    if missing and missing == paths:
        raise ValueError(
            f'none of the {len(paths)} videos is there, such as {min(paths)}: is the disk mounted? '
            'Remove them by name if they are gone'
        )
    gone = [i for i, entry in enumerate(table.entries) if entry and entry.path in missing]
    return np.array(gone, np.int64)
