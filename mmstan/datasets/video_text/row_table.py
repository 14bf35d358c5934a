"""A table of millions of rows: a file and a text each, kept as two blocks of bytes."""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from mmengine.logging import print_log

from mmstan.datasets.mapped_arrays import TextColumn, map_npz, write_npz

MISSING = 255
"""In the place of an ending, where there is no file."""


class Row(NamedTuple):
    """A row of the annotations.

    Attributes:
        name: Path of the file below the folder, without its ending; the id of the video.
        text: Its caption, '' where there is none.
    """

    name: str
    text: str


class Table(NamedTuple):
    """All rows of a data set with a caption and a file, and the count of the others.

    Attributes:
        names: Names of the R rows with a caption.
        texts: Their captions.
        endings: (R,) uint8, the place of the file's ending in the class' ``endings``, plus their
            number where the file lies in the folder itself; :data:`MISSING` where there is none.
        captionless: Number of the rows without a caption.
        examples: Names of a few rows without a caption or a file.
    """

    names: TextColumn
    texts: TextColumn
    endings: np.ndarray
    captionless: int
    examples: Sequence[str]


class Samples(Sequence[dict[str, Any]]):
    """The usable rows of a table as samples, each made when it is asked for."""

    def __init__(self, table: Table, folder: str, endings: Sequence[str]) -> None:
        self.table, self.folder, self.endings = table, folder, endings
        self.rows = np.flatnonzero(table.endings != MISSING).astype(np.int32)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        row = int(self.rows[index])
        name, code = self.table.names[row], int(self.table.endings[row])
        in_folder, number = code < len(self.endings), code % len(self.endings)
        file = (name if in_folder else os.path.basename(name)) + self.endings[number]
        path = f'{self.folder.rstrip("/")}/{file}' if self.folder else file
        return dict(filename=path, video_id=name, captions=[self.table.texts[row]])


def write_table(path: str, settings: str, table: Table) -> None:
    """Write a table and the settings that it was made with."""
    write_npz(
        path,
        settings=np.array([settings]),
        name_block=table.names.block,
        name_starts=table.names.starts,
        text_block=table.texts.block,
        text_starts=table.texts.starts,
        endings=table.endings,
        captionless=np.array([table.captionless]),
        examples=np.array([*table.examples, '']),
    )


def read_table(path: str, settings: str) -> Table | None:
    """Map a written table into memory; None where there is none for these settings."""
    if not os.path.exists(path):
        return None
    try:
        arrays = map_npz(path)
        if arrays['settings'][0] != settings:
            return None
        table = Table(
            TextColumn(arrays['name_block'], arrays['name_starts']),
            TextColumn(arrays['text_block'], arrays['text_starts']),
            arrays['endings'],
            int(arrays['captionless'][0]),
            arrays['examples'][:-1].tolist(),
        )
    except (ValueError, KeyError, OSError, zipfile.BadZipFile):
        return None
    made = time.strftime('%Y-%m-%d %H:%M', time.localtime(os.path.getmtime(path)))
    print_log(f'{path} of {made} has the rows; remove it after files were added', 'current')
    return table
