"""Arrays in a file that many processes map into memory, instead of each keeping a copy."""

from __future__ import annotations

import os
import zipfile
from array import array
from typing import Any

import numpy as np


class TextColumn:
    """Many texts as one block of UTF-8: ten million take their bytes and 8 more each.

    >>> writer = TextColumnWriter()
    >>> for text in ('a dog', '', 'snö'):
    ...     writer.add(text)
    >>> column = writer.finish()
    >>> len(column), column[2]
    (3, 'snö')
    """

    def __init__(self, block: np.ndarray, starts: np.ndarray) -> None:
        self.block = block
        """uint8, the texts one behind the other."""
        self.starts = starts
        """(N + 1,) int64, the first byte of each text, and the end of the last."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> str:
        begin, end = self.starts[index : index + 2]
        return self.block[begin:end].tobytes().decode(errors='surrogateescape')


class TextColumnWriter:
    """Joins texts to a :class:`TextColumn`, one at a time."""

    def __init__(self) -> None:
        self._block, self._starts = bytearray(), array('q', [0])  # q: int64

    def add(self, text: str) -> None:
        """Append a text."""
        self._block += text.encode(errors='surrogateescape')
        self._starts.append(len(self._block))

    def finish(self) -> TextColumn:
        """Return all texts."""
        return TextColumn(
            np.frombuffer(self._block, np.uint8), np.frombuffer(self._starts, np.int64)
        )


def write_npz(path: str, **arrays: Any) -> None:
    """Write arrays to an uncompressed ``.npz``, whole or not at all."""
    partial = f'{path}.part'
    with open(partial, 'wb') as file:
        np.savez(file, **arrays)
    os.replace(partial, path)


def map_npz(path: str) -> dict[str, np.ndarray]:
    """Map the arrays of an uncompressed ``.npz`` into memory, which ``numpy.load`` does not do.

    Raises:
        ValueError, KeyError, zipfile.BadZipFile: The file is damaged.
    """
    arrays: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(path) as archive, open(path, 'rb') as file:
        for entry in archive.infolist():
            # A local header has 30 bytes, a name and an extra field, and the array follows.
            file.seek(entry.header_offset + 26)
            lengths = np.frombuffer(file.read(4), '<u2')
            file.seek(entry.header_offset + 30 + int(lengths.sum()))
            read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
            shape, _, dtype = read[np.lib.format.read_magic(file)[0]](file)
            empty = 0 in shape  # which the operating system does not map
            place = file.tell()
            arrays[entry.filename.removesuffix('.npy')] = (
                np.zeros(shape, dtype) if empty else np.memmap(path, dtype, 'r', place, shape)
            )
    return arrays
