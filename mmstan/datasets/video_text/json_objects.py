"""Reads a JSON object that is larger than memory, entry by entry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TextIO

from mmengine.fileio import exists, get_local_path

from mmstan.text_files import TextFile
from mmstan.wording import show

_CHUNK = 1 << 24  # characters
_LONGEST = 1 << 28  # of an entry; a longer one is damage


def iterate_object(argument: str, path: str) -> Iterator[tuple[str, Any]]:
    """Give the keys and values of the outermost object of a JSON file, one at a time.

    Bytes that are no UTF-8 become U+FFFD, NaN and Infinity are numbers.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is no JSON object; entries before the fault were given.
    """
    if not exists(path):
        raise FileNotFoundError(
            f'{argument}={path!r} does not exist; set {argument} (relative to data_root) to where '
            'it is'
        )
    with (
        get_local_path(path) as local,
        open(local, encoding='utf-8-sig', errors='replace') as file,
    ):
        reader = _Reader(file, TextFile(argument, path))
        reader.expect('{')
        while not reader.skip('}'):
            key = reader.read_value()
            reader.expect(':')
            yield key, reader.read_value()
            if not reader.skip(','):
                reader.expect('}')
                return


class _Reader:
    """Parses values out of a file, of which it keeps the unread rest of some megabytes."""

    def __init__(self, file: TextIO, name: TextFile) -> None:
        self.file, self.name = file, name
        self.text, self.place, self.ended = '', 0, False

    def skip(self, character: str) -> bool:
        """Go behind white space, and behind ``character`` if it comes next."""
        while True:
            while self.place < len(self.text) and self.text[self.place].isspace():
                self.place += 1
            if self.place < len(self.text) or not self._read_more():
                break
        found = self.text[self.place : self.place + 1] == character
        self.place += found
        return found

    def expect(self, character: str) -> None:
        """Go behind ``character``, which must come next."""
        if not self.skip(character):
            raise self._error(f'{character!r} should come next')

    def read_value(self) -> Any:
        """Parse the next value; more of the file is read as long as it is not complete."""
        self.skip('')
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self.text, self.place)
            except json.JSONDecodeError as error:
                if len(self.text) - self.place > _LONGEST or not self._read_more():
                    raise self._error(error.msg) from error
                continue
            if end < len(self.text) or not self._read_more():  # a number may go on
                self.place = end
                return value

    def _read_more(self) -> bool:
        more = self.file.read(_CHUNK)
        self.text, self.place = self.text[self.place :] + more, 0
        return bool(more)

    def _error(self, problem: str) -> ValueError:
        here = show(self.text[self.place : self.place + 60])
        return self.name.error(f'it must be one JSON object, but before {here}: {problem}')
