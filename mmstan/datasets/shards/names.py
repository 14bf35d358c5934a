"""Finds the shards that a config names: by braces, a folder, a text file or a list."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from mmengine.logging import print_log

from mmstan.text_files import TextFile
from mmstan.wording import name_a_few

Urls = str | Sequence[str]
"""One pattern, folder or text file, or several of them."""

_BRACES = re.compile(r'\{([^{}]*)\}')
_RANGE = re.compile(r'(\d+)\.\.(\d+)')


class Shard(NamedTuple):
    """A tar file, its size in bytes and its time of change in nanoseconds (0 of a remote one)."""

    url: str
    size: int
    mtime: int


def is_remote(url: str) -> bool:
    """Whether fsspec reads this address, and not the operating system."""
    return '://' in url


def open_filesystem(url: str) -> tuple[Any, str]:
    """Open fsspec's file system for an address; returns it and the path within it.

    Raises:
        ValueError: The package that reads such addresses is not installed.
    """
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise ValueError(f'{url} cannot be read: {error}') from error


def expand_braces(pattern: str) -> list[str]:
    """Expand braces as a shell does.

    >>> expand_braces('{00..02}.tar')
    ['00.tar', '01.tar', '02.tar']
    >>> expand_braces('{a,b}/{1..2}')
    ['a/1', 'a/2', 'b/1', 'b/2']
    """
    found = _BRACES.search(pattern)
    if found is None:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    numbers = _RANGE.fullmatch(found[1])
    if numbers:
        first, last = int(numbers[1]), int(numbers[2])
        if last < first:
            raise ValueError(f'urls={pattern!r}: {found[0]} counts down; write the smaller first')
        parts = [str(number).zfill(len(numbers[1])) for number in range(first, last + 1)]
    else:
        parts = found[1].split(',')
    return [before + part + rest for part in parts for rest in expand_braces(after)]


def find_shards(urls: Urls) -> list[Shard]:
    """Find the shards that ``urls`` names, in sorted order, each once.

    Args:
        urls: Braces (``'data/{00000..10726}.tar'``), a folder, a text file of one such line each
            (relative to the file's own folder), or a list of any of these. Addresses such as
            ``s3://...`` are read with fsspec.

    Raises:
        FileNotFoundError: No shard is there.
        ValueError: A pattern cannot be read at an offset (``pipe:``).
    """
    names = sorted(dict.fromkeys(expand_urls(urls)))
    remote = [name for name in names if is_remote(name)]
    found = [stat_local(name) for name in names if not is_remote(name)]
    found += _stat_remote(remote) if remote else []
    shards = sorted(shard for shard in found if shard.size >= 0)
    missing = [shard.url for shard in found if shard.size < 0]
    if not shards:
        raise FileNotFoundError(_describe_absence(urls, names))
    if missing:
        print_log(
            f'{len(missing)} of {len(names)} shards do not exist and are left out: '
            f'{name_a_few(missing)}',
            logger='current',
            level=logging.WARNING,
        )
    return shards


def expand_urls(urls: Urls, *, pipes: bool = False) -> list[str]:
    """List the names in ``urls``, whether the shards exist or not; as for :func:`find_shards`.

    Args:
        urls: The names.
        pipes: Whether a name may be a command, ``pipe:...``.
    """
    if not isinstance(urls, str):
        return [name for each in urls for name in expand_urls(each, pipes=pipes)]
    if urls.startswith('pipe:'):
        if pipes:
            return expand_braces(urls)
        raise ValueError(
            f'urls={urls!r} has no random access; use mmstan.ShardStream, which reads it in order'
        )
    if urls.endswith('.txt') and not is_remote(urls):
        folder = os.path.dirname(urls)
        lines = [line.text.strip() for line in TextFile('urls', urls).read_lines()]
        joined = (line if is_remote(line) else os.path.join(folder, line) for line in lines)
        return [name for line in joined for name in expand_braces(line)]
    return [shard for name in expand_braces(urls) for shard in _list_folder(name)]


def _list_folder(name: str) -> list[str]:
    """List the tars of a folder; a name that is no folder is a shard."""
    if is_remote(name):
        if name.endswith('.tar'):
            return [name]
        system, path = open_filesystem(name)
        return [system.unstrip_protocol(shard) for shard in system.glob(f'{path}/*.tar')]
    if not os.path.isdir(name):
        return [name]
    return [os.path.join(name, file) for file in os.listdir(name) if file.endswith('.tar')]


def stat_local(name: str) -> Shard:
    """Ask for size and time of a file; the size is -1 where there is none."""
    try:
        found = os.stat(name)
    except FileNotFoundError:
        return Shard(name, -1, 0)
    return Shard(name, found.st_size, found.st_mtime_ns)


def _stat_remote(names: Sequence[str]) -> list[Shard]:
    """Ask for the sizes folder by folder, which is one request for a thousand shards."""
    sizes: dict[str, int] = {}
    for folder in dict.fromkeys(name.rpartition('/')[0] for name in names):
        system, path = open_filesystem(folder)
        try:
            entries = system.ls(path, detail=True)
        except Exception:  # each protocol has its own; some cannot list
            entries = []
        sizes |= {system.unstrip_protocol(entry['name']): entry['size'] for entry in entries}
    return [Shard(name, sizes[name] if sizes.get(name) else _ask(name), 0) for name in names]


def _ask(name: str) -> int:
    system, path = open_filesystem(name)
    try:
        return system.info(path)['size']
    except FileNotFoundError:
        return -1


def _describe_absence(urls: Urls, names: Sequence[str]) -> str:
    """Say what was looked for, and which names are there instead."""
    pattern = urls if isinstance(urls, str) else list(urls)[:3]
    first = names[0] if names else str(pattern)
    folder = first if os.path.isdir(first) else os.path.dirname(first) or os.curdir
    if is_remote(first):
        there = 'it is remote'
    elif os.path.isdir(folder):
        there = f'in {folder} are: {name_a_few(sorted(os.listdir(folder)), most=3) or "no files"}'
    else:
        there = f'{folder} does not exist'
    return (
        f'urls={pattern!r} matches no shard ({there}); give braces, a folder of .tar files, a text '
        'file or a list'
    )
