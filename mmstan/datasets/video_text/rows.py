"""Data sets of millions of rows: a file name and a text each, kept as two blocks of bytes."""

from __future__ import annotations

import json
import logging
import os
import zlib
from abc import abstractmethod
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from filelock import FileLock
from mmengine.logging import print_log

from mmstan.datasets.annotation_files import check_inside
from mmstan.datasets.mapped_arrays import TextColumn, TextColumnWriter
from mmstan.datasets.video_files import make_folder_error
from mmstan.datasets.video_text.base import VideoTextDataset
from mmstan.datasets.video_text.row_table import (
    MISSING,
    Row,
    Samples,
    Table,
    read_table,
    write_table,
)
from mmstan.text_files import TextFile
from mmstan.wording import name_a_few

_EXAMPLES = 5  # names in messages


class RowsDataset(VideoTextDataset):
    """A video-text data set of up to tens of millions of rows, one caption each.

    In training the rows are two blocks of bytes, of names and of captions, which forked workers
    share, and samples are made when they are asked for. In a test, which is small, everything is
    as in :class:`VideoTextDataset`.

    To write one, override :meth:`read_rows`, and :attr:`endings` if files are no ``.mp4``.

    Args:
        ann_file: The rows.
        cache: Whether to keep the blocks, and which files there are, in ``ann_file + '.cache'``,
            which all processes of a machine map into memory. It is made again when ``ann_file`` or
            an argument changes; remove it after files were added.
        kwargs: Of :class:`VideoTextDataset`.
    """

    endings: ClassVar[Sequence[str]] = ('.mp4',)
    """Endings that a file may have, in the order of choice; ('',) where names have them."""

    def __init__(
        self, ann_file: str = '', *, cache: bool = False, test_mode: bool = False, **kwargs: Any
    ) -> None:
        self.cache = cache
        self._counts = 0, 0
        super().__init__(ann_file, test_mode=test_mode, serialize_data=test_mode, **kwargs)

    @abstractmethod
    def read_rows(self) -> Iterator[Row]:
        """Read the rows of ``ann_file`` in its order, one at a time."""

    def describe_settings(self) -> dict[str, Any]:
        """Describe the arguments and files that determine the rows, for the cache."""
        file = os.stat(self.ann_file)
        return dict(
            type=type(self).__name__,
            folder=self.data_prefix[self.folder_key],
            size=file.st_size,
            changed=file.st_mtime_ns,
        )

    @property
    def num_missing(self) -> int:
        """Number of rows that are left out, without a caption or without a file."""
        return super().num_missing if self.test_mode else sum(self._counts)

    @property
    def cache_path(self) -> str:
        """File of the cache."""
        return f'{self.ann_file}.cache'

    def read_captions(self) -> Mapping[str, Sequence[str]]:
        """Group the captions by video, for a test."""
        captions: dict[str, list[str]] = {}
        for row in self.read_rows():
            captions.setdefault(row.name, []).append(row.text)
        return captions

    def list_file_names(self, video: str) -> Sequence[str]:
        """The name with its folders, or in the folder itself."""
        return (video, os.path.basename(video))

    def load_data_list(self) -> Any:
        """Read the rows, or map their cache; see the class."""
        if self.test_mode:
            return super().load_data_list()
        table = self._open_cache() if self.cache else self._make_table()
        self._counts = table.captionless, int((table.endings == MISSING).sum())
        samples = Samples(table, self.data_prefix[self.folder_key], self.endings)
        self._report_rows(table, len(samples))
        return samples

    def digest_samples(self) -> str | None:
        """Describe all samples in a line, for :func:`~mmstan.datasets.fingerprint.fingerprint`."""
        if self.test_mode or not isinstance(self.data_list, Samples):
            return None
        table = self.data_list.table
        arrays = (table.names.block, table.texts.block, table.endings)
        return ' '.join(f'{zlib.crc32(array.data):08x}' for array in arrays)

    def _open_cache(self) -> Table:
        """Map the cache; the first process makes it, and the others wait."""
        path = self.cache_path
        try:
            settings = json.dumps(self.describe_settings(), sort_keys=True)
        except FileNotFoundError:
            return self._make_table()  # which says what is missing
        if not os.access(os.path.dirname(path) or os.curdir, os.W_OK):
            table = read_table(path, settings)
            if table is not None:
                return table
            raise ValueError(
                f'cache=True needs {path}, which cannot be written: set cache=False, or put '
                'ann_file into a folder that can'
            )
        with FileLock(f'{path}.lock'):
            table = read_table(path, settings)
            if table is None:
                table = self._make_table()
                write_table(path, settings, table)
            return read_table(path, settings) or table

    def _make_table(self) -> Table:
        names, texts = TextColumnWriter(), TextColumnWriter()
        folders: dict[str, int] = {}
        places = array('i')  # of the folder of each row
        captionless = repaired = 0
        examples: list[str] = []
        for row in self.read_rows():
            if os.pardir in row.name or os.path.isabs(row.name):
                folder = self.data_prefix[self.folder_key]
                check_inside(TextFile('ann_file', self.ann_file), row.name, folder)
            if text := row.text.strip():
                repaired += '\ufffd' in text
                names.add(row.name)
                texts.add(text)
                places.append(folders.setdefault(os.path.dirname(row.name), len(folders)))
                continue
            captionless += 1
            if len(examples) < _EXAMPLES:
                examples.append(row.name)
        if repaired:
            source = self.cache_path.removesuffix('.cache')
            _warn(f'{source}: {repaired} captions have bytes that are no UTF-8, replaced by U+FFFD')
        if not len(places):
            raise ValueError(
                f'ann_file={self.ann_file!r}: none of its {captionless} rows has a caption'
            )
        column = names.finish()
        endings = self._find_endings(column, list(folders), np.frombuffer(places, np.int32))
        absent = np.flatnonzero(endings == MISSING)[:_EXAMPLES]
        examples += [column[int(row)] for row in absent]
        return Table(column, texts.finish(), endings, captionless, examples)

    def _find_endings(
        self, names: TextColumn, folders: Sequence[str], places: np.ndarray
    ) -> np.ndarray:
        """Find the file of each row, folder by folder; the codes of :class:`Table`.

        Raises:
            FileNotFoundError: The folder of the videos does not exist, or no file is there.
        """
        root = self.data_prefix[self.folder_key]
        if '://' in root:
            return np.zeros(len(names), np.uint8)
        if not os.path.isdir(root or os.curdir):
            raise make_folder_error(root)
        endings = np.full(len(names), MISSING, np.uint8)
        order = np.argsort(places, kind='stable')
        begins = np.searchsorted(places[order], np.arange(len(folders) + 1))
        top = _list_files(root)
        for number, folder in enumerate(folders):
            there = _list_files(os.path.join(root, folder)) if folder else top
            for row in order[begins[number] : begins[number + 1]].tolist():
                base = os.path.basename(names[row])
                endings[row] = self._choose_ending(base, there, top)
        if (endings == MISSING).all():
            wanted = [names[row] + self.endings[0] for row in range(min(3, len(names)))]
            raise FileNotFoundError(
                f'data_prefix={root!r} has none of the {len(names)} files: wanted {wanted}, found '
                f'{sorted(top)[:3] or sorted(os.listdir(root or os.curdir))[:3]}: check the folder '
                'and how its files are called'
            )
        return endings

    def _choose_ending(self, base: str, there: set[str], top: set[str]) -> int:
        for shift, files in ((0, there), (len(self.endings), top)):
            for number, ending in enumerate(self.endings):
                if base + ending in files:
                    return shift + number
        return MISSING

    def _report_rows(self, table: Table, usable: int) -> None:
        """Say how many rows are left out.

        Raises:
            FileNotFoundError: A row is left out, and ``missing`` is 'error'.
        """
        if not self.num_missing:
            return
        captionless, fileless = self._counts
        text = (
            f'{self.num_missing} of {usable + self.num_missing} rows of '
            f'{self.ann_file or self.cache_path} are missing: {captionless} without a caption, '
            f'{fileless} without a file in '
            f'{self.data_prefix[self.folder_key]} ({name_a_few(table.examples)})'
        )
        if self.missing == 'error':
            raise FileNotFoundError(f"missing='error': {text}; add them, or set missing='report'")
        _warn(f'{text}; they are left out')


def _list_files(folder: str) -> set[str]:
    try:
        return set(os.listdir(folder or os.curdir))
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _warn(text: str) -> None:
    print_log(text, logger='current', level=logging.WARNING)
