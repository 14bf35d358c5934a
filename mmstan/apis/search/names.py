"""The file of names: a JSON list a line, ``[path, size, mtime, start, end, [padding]]``.

A line is a row of the features; ``null`` is a row that was removed.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mmstan.apis.search.entries import Entry
from mmstan.apis.search.kinds import AGAIN
from mmstan.apis.search.manifest import Manifest
from mmstan.wording import show


def format_names(entries: Iterable[Entry | None], mask: np.ndarray) -> bytes:
    """The lines of entries and their masks (rows, T)."""
    lines = []
    for entry, real in zip(entries, mask):
        padding = np.flatnonzero(~real).tolist()
        lines.append(json.dumps(entry if entry is None else [*entry, padding]) + '\n')
    return ''.join(lines).encode('ascii')  # JSON escapes the rest, also bytes that are no UTF-8


def read_names(manifest: Manifest, path: Path) -> tuple[list[Entry | None], np.ndarray]:
    """Read the names of all rows and their masks (rows, T).

    Raises:
        ValueError: The file is damaged, or a line is of another form.
    """
    size = manifest.verify('names', path)
    with open(path, 'rb') as file:
        lines = file.read(size).splitlines()
    if len(lines) != manifest.rows:
        raise ValueError(f'{path}: has {len(lines)} lines, and the index {manifest.rows} videos')
    mask = np.ones((manifest.rows, manifest.frames), bool)
    with _no_collection():
        entries = _make_entries(path, lines, mask)
    return entries, mask


@contextmanager
def _no_collection() -> Iterator[None]:
    """Within, no garbage is collected: many new lists would have it look at all objects again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _make_entries(path: Path, lines: list[bytes], mask: np.ndarray) -> list[Entry | None]:
    """The entries of lines; marks the padding in ``mask``."""
    rows = _parse(path, lines)
    if not _are_plain([values for values in rows if values is not None]):
        for row, values in enumerate(rows):
            if values is not None and not _is_entry(values, mask.shape[1]):
                raise ValueError(
                    f'{path}, line {row + 1}: {show(values)} must be [path, size, mtime, start, '
                    f'end, [padding]]; {AGAIN}'
                )
    for row, values in enumerate(rows):
        if values is not None and values[5]:
            mask[row, values[5]] = False
    return [None if values is None else Entry(*values[:5]) for values in rows]


def _are_plain(rows: list[Any]) -> bool:
    """Whether all rows are of whole videos without padding, in a fraction of the time."""
    if not set(map(type, rows)) <= {list} or not set(map(len, rows)) <= {6}:
        return False
    nothing = type(None)
    plain: list[set[type]] = [{str}, {int, nothing}, {int, nothing}, {nothing}, {nothing}, {list}]
    right = all(plain[i].issuperset(map(type, column)) for i, column in enumerate(zip(*rows)))
    return right and not any(values[5] for values in rows)


def _parse(path: Path, lines: list[bytes]) -> list[Any]:
    try:
        values = json.loads(b'[' + b','.join(lines) + b']')  # a tenth of the time of single lines
        if len(values) == len(lines):
            return values
    except (ValueError, RecursionError):
        pass  # the loop finds the line
    for number, line in enumerate(lines, start=1):
        try:
            json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f'{path}, line {number}: it is not JSON ({error})') from None
    raise ValueError(f'{path}: a line holds several values')


def _is_entry(values: Any, frames: int) -> bool:
    if not isinstance(values, list) or len(values) != 6:
        return False
    path, size, mtime, start, end, padding = values
    return (
        isinstance(path, str)
        and all(x is None or type(x) is int for x in (size, mtime))
        and ((start is None and end is None) or (_is_time(start) and _is_time(end)))
        and isinstance(padding, list)
        and all(type(x) is int and 0 <= x < frames for x in padding)
    )


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < float('inf')
