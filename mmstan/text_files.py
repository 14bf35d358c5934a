"""A reader for text files that people edit: lists, tables and JSON, in UTF-8.

A byte order mark, any kind of line end and blank lines are allowed. The error for a damaged or
ambiguous file names the file, the line and the remedy.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from mmengine.fileio import get

from mmstan.wording import show

_MARKS = {  # UTF-32 first, because its mark begins with UTF-16's
    codecs.BOM_UTF32_LE: 'UTF-32',
    codecs.BOM_UTF32_BE: 'UTF-32',
    codecs.BOM_UTF16_LE: 'UTF-16',
    codecs.BOM_UTF16_BE: 'UTF-16',
}
_CONTROL = re.compile('[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]')  # not tabs, line ends, form feeds
_LINE_END = re.compile('\r\n|\r|\n')
_DELIMITERS = (',', '\t', ';', '|')


class Line(NamedTuple):
    """A line without its end."""

    number: int
    text: str


class Row(NamedTuple):
    """A row of a table, its fields by column, and the line where it begins."""

    line: int
    fields: dict[str, str]


class Repeated(list[Any]):
    """The values of a key that a JSON object has several times."""


class TextFile:
    """A text file and the argument that names it, '' for a file on the command line.

    Every error about the file, also a caller's, is made by :meth:`error`.
    """

    def __init__(self, argument: str, path: str) -> None:
        self.path = path
        self._name = f'{argument}={path!r}' if argument else path
        self._text: str | None = None

    def error(self, problem: str, *, line: int | None = None) -> ValueError:
        """Make a ValueError that names argument, file and line, for the caller to raise."""
        return ValueError(f'{self._name}{f", line {line}" if line else ""}: {problem}')

    def read_text(self) -> str:
        """Read the whole file, without a byte order mark.

        Raises:
            OSError: The file cannot be read.
            ValueError: The file is not UTF-8, or has control characters.
        """
        if self._text is None:
            self._text = self._decode(get(self.path))
        return self._text

    def _decode(self, data: bytes) -> str:
        encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)
        if encoding:
            raise self.error(f'it is in {encoding}; save it as UTF-8')
        try:
            text = data.decode('utf-8-sig')
        except UnicodeDecodeError as error:
            begin = data.rfind(b'\n', 0, error.start) + 1
            shown = show(data[begin:].split(b'\n', 1)[0].decode('latin-1'))
            raise self.error(
                f'byte 0x{data[error.start]:02x} in {shown} is not UTF-8; save the file as UTF-8 '
                '(iconv -f CP1252 -t UTF-8, if it comes from Windows)',
                line=data.count(b'\n', 0, error.start) + 1,
            ) from error
        if bad := _CONTROL.search(text):
            line = 1 + len(_LINE_END.findall(text, 0, bad.start()))
            shown = show(split_lines(text)[line - 1])
            raise self.error(
                f'it has the character {bad[0]!r} in {shown}, which is no text; '
                'remove it, or save the file as UTF-8',
                line=line,
            )
        return text

    def read_lines(self) -> list[Line]:
        """Read the lines that are not blank, unstripped; errors as for :meth:`read_text`."""
        lines = enumerate(split_lines(self.read_text()), start=1)
        # Joined files have a byte order mark in the middle too.
        stripped = ((number, text.removeprefix('\ufeff')) for number, text in lines)
        return [Line(number, text) for number, text in stripped if text.strip()]

    def read_table(self, *columns: str) -> list[Row]:
        """Read the rows of a table with a header; fields end at commas, tabs, semicolons or bars.

        Args:
            columns: Columns that the header must have; it may have others.

        Raises:
            ValueError: A column is missing, a row has more or fewer fields than the header, or a
                quotation mark is not closed; other errors as for :meth:`read_text`.
        """
        # The delimiter is the one under which the header has most of the columns.
        headers = {delimiter: self._read_header(delimiter) for delimiter in _DELIMITERS}
        delimiter, header = max(headers.items(), key=lambda item: len({*columns} & {*item[1]}))
        if absent := [name for name in columns if name not in header]:
            raise self.error(
                f'its first line must name the columns {", ".join(columns)}, but lacks '
                f'{", ".join(absent)}: {show(header)}; give the file as it is distributed, or add '
                'the header'
            )
        if doubled := [name for name in columns if header.count(name) > 1]:
            raise self.error(f'it has the column {doubled[0]} twice; remove one')
        rows = self._split_rows(delimiter)
        next(rows)
        return [Row(line, self._name_fields(line, header, row)) for line, row in rows]

    def _read_header(self, delimiter: str) -> list[str]:
        _, names = next(self._split_rows(delimiter), (0, []))
        return [name.strip() for name in names]

    def _split_rows(self, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """Give the lines where rows begin, and the rows that are not blank."""
        text = io.StringIO('\n'.join(split_lines(self.read_text())))
        rows = csv.reader(text, delimiter=delimiter, strict=True, skipinitialspace=True)
        line = 1
        try:
            for row in rows:
                if any(field.strip() for field in row):
                    self._check_quotes(line, row, delimiter)
                    yield line, row
                line = rows.line_num + 1
        except csv.Error as error:
            raise self.error(
                f'{error}: is a quotation mark not closed? Text with quotation marks in it stands '
                'in quotation marks, and its own are doubled',
                line=line,
            ) from error

    def _check_quotes(self, line: int, row: Sequence[str], delimiter: str) -> None:
        """Refuse a field that contains whole rows: a quotation mark before them was not closed."""
        for field in row:
            for inner in split_lines(field)[1:]:
                # A continuation line with as many delimiters as a row is a row of its own.
                if inner.count(delimiter) >= len(row) - 1:
                    raise self.error(
                        f'a field goes on in the next line ({show(inner)}), which is a row by '
                        'itself: close the quotation mark, or double it where it is of the text',
                        line=line,
                    )

    def _name_fields(self, line: int, header: Sequence[str], row: Sequence[str]) -> dict[str, str]:
        if len(row) != len(header):
            raise self.error(
                f'{show(row)} has {len(row)} fields, and the header {len(header)} '
                f'({", ".join(header)}); text with a comma in it stands in quotation marks',
                line=line,
            )
        return dict(zip(header, row))

    def read_json(self, *, collect: bool = False) -> Any:
        """Read the contents of a JSON file.

        Args:
            collect: Collect the values of a repeated key of the outermost object as
                :class:`Repeated`. Otherwise, and in other objects, a repeated key is an error.

        Raises:
            ValueError: The file is not JSON, is nested too deeply, or repeats a key; other errors
                as for :meth:`read_text`.
        """
        found: list[tuple[str, Repeated]] = []

        def collect_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            made = dict(pairs)
            return made if len(made) == len(pairs) else _collect(pairs, found)

        text = self.read_text()
        try:
            data = json.loads(
                text, object_pairs_hook=collect_pairs, parse_constant=_refuse_constant
            )
        except json.JSONDecodeError as error:
            hint = ' (one object a line? give one for all)' if 'Extra data' in error.msg else ''
            line = text.split('\n')[error.lineno - 1]
            raise self.error(
                f'it is not JSON{hint}: {error.msg}, column {error.colno} of {show(line)}',
                line=error.lineno,
            ) from error
        except (ValueError, RecursionError) as error:
            reason = 'it is nested too deeply' if isinstance(error, RecursionError) else str(error)
            raise self.error(f'it is not JSON for annotations: {reason}') from error
        values = data.values() if collect and isinstance(data, dict) else ()
        # JSON calls `collect_pairs` from the inside out, so the outermost object is known only now.
        outermost = {id(value) for value in values}
        for key, repeated in found:
            if id(repeated) not in outermost:
                raise self.error(
                    f'the key {show(key)} stands {len(repeated)} times in one object; leave one',
                    line=self.line_of(key),
                )
        return data

    def line_of(self, text: str) -> int | None:
        """Find the last line with ``text``, as a JSON string or as it is; None without any."""
        try:
            whole = self.read_text()
        except (ValueError, OSError):  # a pickle
            return None
        forms = (json.dumps(text, ensure_ascii=False), json.dumps(text), text)
        places = (whole.rfind(form) for form in forms)
        place = next((place for place in places if place >= 0), None)
        return None if place is None else 1 + len(_LINE_END.findall(whole, 0, place))


def split_lines(text: str) -> list[str]:
    """Split ``text`` into lines, at any of the three kinds of line ends; blank lines stay."""
    return text.replace('\r\n', '\n').replace('\r', '\n').split('\n')


def _collect(pairs: list[tuple[str, Any]], found: list[tuple[str, Repeated]]) -> dict[str, Any]:
    values: dict[str, Repeated] = {}
    for key, value in pairs:
        values.setdefault(key, Repeated()).append(value)
    found += [(key, several) for key, several in values.items() if len(several) > 1]
    return {key: several if len(several) > 1 else several[0] for key, several in values.items()}


def _refuse_constant(name: str) -> Any:
    raise ValueError(f'{name} is no value of JSON')


def has_control_characters(text: str) -> bool:
    """Whether ``text`` has characters such as NUL or half a surrogate pair."""
    return bool(_CONTROL.search(text))
