"""Build the index of a folder, add to it, and remove from it."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from glob import has_magic
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from mmengine.logging import print_log

from mmstan.apis.search import building
from mmstan.apis.search.encode import Broken, Encoder
from mmstan.apis.search.entries import LISTS, Segments, find_videos, keep_open_sources
from mmstan.apis.search.kinds import choose_kind, has_faiss
from mmstan.apis.search.manifest import Manifest, name_dtype, read_manifest
from mmstan.apis.search.nearest import Nearest, NearestByFaiss, NearestByTorch
from mmstan.apis.search.recall import measure_recall
from mmstan.apis.search.store import Store, has_index, lock_folder
from mmstan.wording import count_things, name_a_few


class Changes(NamedTuple):
    """How many videos, or segments, a call changed."""

    added: int
    removed: int


def build_store(
    encoder: Encoder, sources: Sequence[str], folder: Path, options: Mapping[str, Any]
) -> tuple[Store, Broken]:
    """Encode the videos of sources into a new folder, or go on with a build that was stopped.

    Args:
        encoder: The model.
        sources: Folders, patterns, lists and files, by their absolute paths.
        folder: Where the index will be.
        options: ``kind``, ``store`` and ``segments``.

    Returns:
        The store, and the videos that cannot be read.
    """
    facts = _list_facts(encoder, sources, **options)
    entries, broken = building.list_all(find_videos(sources), facts['segments'])
    # Said before the videos are encoded: is faiss missing, or are there too many without it?
    if not (facts['auto'] and has_faiss()):
        choose_kind(facts['kind'], frames=10**6, clips=len(entries))
    folder.mkdir(parents=True, exist_ok=True)
    with lock_folder(folder):
        store = _resume(folder, facts) if has_index(folder) else None
        if store is not None:
            building.forget_rows(store, building.find_stale(store.table, entries, broken))
            entries = building.find_new(store.table, entries)

        def start(frames: int, dim: int) -> Store:
            return Store.create(folder, Manifest(frames=frames, dim=dim, **facts))

        store, lost = building.encode_all(encoder, list(dict.fromkeys(entries)), store, start)
        broken += lost
        if store is None:
            name, reason = broken[0]
            raise ValueError(f'none of {len(broken)} videos can be read; {name}: {reason}')
        building.renew_index(store)
        _measure(store)
    building.report_broken(broken, folder)
    return store, broken


def _list_facts(
    encoder: Encoder, sources: Sequence[str], *, kind: str, store: str, segments: Segments | None
) -> dict[str, Any]:
    """The facts of a manifest that are known before a video is encoded."""
    return dict(
        identity=encoder.model.identity,
        dtype=name_dtype(encoder.model),
        interaction=type(encoder.model.interaction).__name__,
        pooled=encoder.pooled,
        store=store,
        kind='brute' if kind == 'auto' else kind,
        auto=kind == 'auto',
        segments=segments,
        sources=keep_open_sources(sources),
    )


def _resume(folder: Path, facts: dict[str, Any]) -> Store:
    """The store of a build that was stopped, without the videos that were not committed.

    Raises:
        FileExistsError: The index is finished.
        ValueError: It was built with another model or other options.
    """
    store = Store.read(folder)
    manifest = store.manifest
    if manifest.indexed:
        raise FileExistsError(
            f'{folder} holds an index of {manifest.rows} videos: open it and add or refresh, or '
            'give another folder'
        )
    for key in ('identity', 'pooled', 'store', 'segments'):
        if getattr(manifest, key) != facts[key]:
            raise ValueError(
                f'{folder} holds a build that was stopped, with {key}={getattr(manifest, key)}, '
                f'and this one has {key}={facts[key]}; delete the folder, or build as before'
            )
    manifest.warn_of_dtype(folder, facts['dtype'])
    print_log(f'{folder}: goes on after {manifest.rows} videos', 'current')
    store.write_facts(**{key: facts[key] for key in ('kind', 'auto', 'sources')})
    return store


def _measure(store: Store) -> None:
    """Measure and log the recall of an index that is not exact."""
    if store.manifest.kind in ('brute', 'fp16'):
        return
    recall = measure_recall(store.table, choose_nearest(store))
    store.write_facts(recall=recall)
    print_log(
        f'{store.folder}: {store.manifest.kind} keeps {recall["in_top"]} % of the 10 nearest '
        f'videos of 200 stored frames in its first 10, {recall["in_candidates"]} % in 400',
        'current',
    )


def open_store(folder: Path) -> tuple[Store, Nearest]:
    """Read an index and make the first stage of its searches.

    A file that another process replaces meanwhile is no damage: then all are read again.
    """
    while True:
        manifest = read_manifest(folder)
        try:
            store = Store.read(folder)
            return store, choose_nearest(store)
        except (ValueError, OSError):
            if read_manifest(folder) == manifest:
                raise


def choose_nearest(store: Store) -> Nearest:
    """The first stage of searches: by faiss where it is installed."""
    manifest, table = store.manifest, store.table
    if 'index' in manifest.checks and has_faiss():
        return NearestByFaiss(table, store.read_index(), manifest.stride)
    return NearestByTorch(table, manifest.indexed)


def update_store(
    store: Store, encoder: Encoder, paths: Iterable[str], sources: Sequence[str], *, gone: bool
) -> tuple[Changes, Broken]:
    """Encode the videos of paths that are new or changed.

    Args:
        store: The index.
        encoder: The model.
        paths: The videos.
        sources: Folders, patterns and lists to remember.
        gone: Whether to forget the videos whose files no longer exist.
    """
    entries, broken = building.list_all(paths, store.manifest.segments)
    before = _count_indexed(store)
    with store.locked():
        stale = [building.find_stale(store.table, entries, broken)]
        stale += [building.find_gone(store.table)] if gone else []
        rows = np.unique(np.concatenate(stale))
        # Counted before, since an index that is compacted holds none until it is renewed.
        removed = int((rows < store.manifest.indexed).sum())
        building.forget_rows(store, rows)
        new = building.find_new(store.table, entries)
        _, lost = building.encode_all(encoder, new, store, _refuse_to_start)
        every = dict.fromkeys([*store.manifest.sources, *keep_open_sources(sources)])
        building.renew_index(store, sources=list(every))
    building.report_broken(broken + lost, store.folder)
    added = _count_indexed(store) - before + removed
    return Changes(added, removed), broken + lost


def _count_indexed(store: Store) -> int:
    """How many videos a search can find."""
    return int(store.table.alive[: store.manifest.indexed].sum())


def _refuse_to_start(frames: int, dim: int) -> NoReturn:
    raise AssertionError('an index that is open has a store')


def refresh_store(store: Store, encoder: Encoder) -> tuple[Changes, Broken]:
    """Look at all files again: the known ones, and the ones that the sources name now."""
    known = [entry.path for entry in store.table.entries if entry is not None]
    named = [path for source in store.manifest.sources for path in _look_again(source, known)]
    there = [path for path in dict.fromkeys([*known, *named]) if os.path.exists(path)]
    return update_store(store, encoder, there, (), gone=True)


def _look_again(source: str, known: Sequence[str]) -> list[str]:
    """The videos that a source names now; none, with a warning, where it has lost its last one.

    Raises:
        ValueError: It names none, and known videos that may be of it are gone, as if a disk were
            not mounted.
    """
    try:
        return find_videos([source])
    except (ValueError, OSError) as error:
        lost = [path for path in known if _may_be_of(source, path) and not os.path.exists(path)]
        if lost:
            raise ValueError(
                f'{error}; {count_things(len(lost), "video")} of the index may be of it and is '
                'gone: is the disk mounted? Remove by name what is gone'
            ) from error
        print_log(f'{error}; it is passed over', 'current', logging.WARNING)
        return []


def _may_be_of(source: str, path: str) -> bool:
    """Whether a source named this video, as far as its name tells: a list may have named any."""
    if source.lower().endswith(LISTS):
        return True
    folder = re.split(r'[*?[]', source)[0].rpartition(os.sep)[0] if has_magic(source) else source
    return path.startswith(os.path.join(folder, ''))


def remove_paths(store: Store, paths: Sequence[str]) -> Changes:
    """Remove videos by their absolute paths, with all their segments.

    Raises:
        ValueError: A path is not in the index; nothing is removed then.
    """
    known = {entry.path for entry in store.table.entries if entry is not None}
    if unknown := [path for path in paths if path not in known]:
        raise ValueError(
            f'{len(unknown)} of {len(paths)} videos are not in {store.folder}: '
            f'{name_a_few(unknown)}; give their paths as hits name them'
        )
    wanted = set(paths)
    rows = [i for i, entry in enumerate(store.table.entries) if entry and entry.path in wanted]
    with store.locked():
        building.forget_rows(store, np.array(rows, np.int64))
        if not store.manifest.indexed and store.manifest.rows:  # written again without them
            building.renew_index(store)
    return Changes(added=0, removed=len(rows))
