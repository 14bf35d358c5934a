"""Files that are written whole or not at all, and a folder that one command at a time writes to."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

STATE = '.prepare'
"""Folder in the output folder: checks that are done, and files that were written."""


def write_whole(path: Path, text: str) -> None:
    """Write a text file under another name and rename it, so that no half of it is ever there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + '.part')
    part.write_text(text, 'utf-8', newline='\n')
    os.replace(part, path)


@contextmanager
def claim_folder(out: Path) -> Iterator[None]:
    """Make the output folder, and keep other commands that prepare data out of it.

    Raises:
        ValueError: Another one is writing to it.
    """
    state = out / STATE
    state.mkdir(parents=True, exist_ok=True)
    lock = FileLock(state / 'lock', timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise ValueError(
            f'--out {out}: another mmstan prepare is writing there; wait for it, or give another '
            'folder'
        ) from error
    try:
        yield
    finally:
        lock.release()


class Outputs:
    """The text files of an output folder, which are replaced unless their owner has changed them.

    Args:
        out: The folder.
        names: All files that may be written.

    Raises:
        ValueError: One of them is there and is not as it was written.
    """

    def __init__(self, out: Path, names: tuple[str, ...]) -> None:
        self._out = out
        self._record = out / STATE / 'written.json'
        self._written: dict[str, list[str]] = {}
        if self._record.exists():
            self._written = json.loads(self._record.read_text('utf-8'))
        for name in names:
            path = out / name
            if path.exists() and _digest(path.read_bytes()) not in self._written.get(name, ()):
                raise ValueError(
                    f'{path} is not as mmstan prepare wrote it, and would be lost: move it away, '
                    'or give another --out'
                )

    def write(self, texts: Mapping[str, str]) -> None:
        """Replace the files by ``texts``, by name; files of an earlier call that are none go."""
        new = {name: [_digest(text.encode())] for name, text in texts.items()}
        before = {name: self._written.get(name, []) + new.get(name, []) for name in self._written}
        # Both states are known for as long as a kill could leave some files old and some new.
        self._note({**new, **before})
        for name in self._written.keys() - new.keys():
            (self._out / name).unlink(missing_ok=True)
        for name, text in texts.items():
            write_whole(self._out / name, text)
        self._note(new)

    def _note(self, digests: Mapping[str, list[str]]) -> None:
        write_whole(self._record, json.dumps(digests, indent=1, sort_keys=True) + '\n')
        self._written = dict(digests)


def _digest(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()
