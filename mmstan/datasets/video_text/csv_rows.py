"""Reads tables of millions of rows, one at a time."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence

from mmengine.fileio import exists, get_local_path

from mmstan.text_files import TextFile
from mmstan.wording import show


def iterate_rows(argument: str, path: str, *, delimiter: str = ',') -> Iterator[list[str]]:
    """Give the rows that are not blank, the header too; bytes that are no UTF-8 become U+FFFD.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: A quotation mark is not closed.
    """
    if not exists(path):
        raise FileNotFoundError(
            f'{argument}={path!r} does not exist; set {argument} (relative to data_root) to where '
            'it is'
        )
    with (
        get_local_path(path) as local,
        open(local, encoding='utf-8-sig', errors='replace', newline='') as file,
    ):
        # Lists with tabs have no rule of quotation: theirs are the caption's own.
        rows = (
            csv.reader(file, delimiter=delimiter, strict=True, quoting=csv.QUOTE_NONE)
            if delimiter == '\t'
            else csv.reader(file, delimiter=delimiter, strict=True)
        )
        try:
            yield from filter(None, rows)
        except csv.Error as error:
            raise TextFile(argument, path).error(
                f'{error}: is a quotation mark not closed?', line=rows.line_num
            ) from error


def iterate_columns(
    argument: str, path: str, columns: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[list[str]]:
    """Give the fields of some columns of a table with a header, in the order of ``columns``.

    Args:
        argument: The argument that names the file.
        path: The file.
        columns: Columns that must be there.
        optional: Columns that follow them, '' where the header lacks them.

    Raises:
        ValueError: A column is missing, or a row has fewer or more fields than the header.
    """
    rows = iterate_rows(argument, path)
    header = [name.strip() for name in next(rows, [])]
    absent = [name for name in columns if name not in header]
    if absent:
        raise TextFile(argument, path).error(
            f'its first line must name the columns {", ".join(columns)}, but lacks '
            f'{", ".join(absent)}: {show(header)}'
        )
    wanted = [header.index(name) if name in header else -1 for name in (*columns, *optional)]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise TextFile(argument, path).error(
                f'row {number} {show(row)} has {len(row)} fields, and the header {len(header)}; '
                'text with a comma in it stands in quotation marks'
            )
        yield [row[place] if place >= 0 else '' for place in wanted]
