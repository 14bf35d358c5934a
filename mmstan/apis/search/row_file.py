"""Rows of a plain array in a file, read when they are asked for."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path

import numpy as np


class RowFile:
    """An array (rows, T, D) in a file, of which only the rows that are read are in memory.

    Unlike a memory map: there, every row brings its neighbours along, and after some hundred
    searches the process holds the whole file.

    Args:
        path: The file, the array's bytes from its beginning; later bytes do not count.
        shape: Its shape.
        dtype: Its type.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: np.dtype) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype
        self._file = open(path, 'rb', buffering=0)  # noqa: SIM115  (open as long as this lives)
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Some rows (R, T, D); neighbours in ascending order are read at once.

        Raises:
            ValueError: The file has become shorter.
        """
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        row_bytes = self.shape[1] * self.shape[2] * self.dtype.itemsize
        # Runs of neighbours: [3 4 5 9] is 3-5 and 9.
        starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
        for start, end in zip(starts, [*starts[1:], len(rows)]):
            part = found[start:end].data.cast('B')
            with self._lock:
                self._file.seek(int(rows[start]) * row_bytes)
                self._fill(part)
        return found

    def _fill(self, part: memoryview) -> None:
        done = 0
        while done < len(part):
            count = self._file.readinto(part[done:])
            if not count:
                raise ValueError(f'{self.path}: has become shorter; open the index again')
            done += count
