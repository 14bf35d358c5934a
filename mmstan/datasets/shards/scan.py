"""Reads the headers of a tar file: where the members of each sample lie."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

from mmstan.datasets.readers.base import brief
from mmstan.datasets.shards.names import Shard, is_remote, open_filesystem

VIDEO_SUFFIXES = ('mp4', 'webm', 'mkv', 'mov', 'avi', 'm4v')
IMAGE_SUFFIXES = ('jpg', 'jpeg', 'png', 'webp')
SUFFIXES = (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES)
"""Endings of the member that is shown, in the order of choice."""
MEMBERS = ('video', 'txt', 'json')
"""The members of a sample that an index knows."""
ABSENT = np.uint32(2**32 - 1)

_NAME = re.compile(r'((?:.*/)?[^./][^./]*)\.([^/]*)')  # the path up to the base name's first point


class ShardContents(NamedTuple):
    """The samples of one shard, in the order of the tar; N of them.

    Attributes:
        problem: Why the tar could not be read to its end; '' if it could.
        first: (N,) int64, the first byte of a sample.
        at: (3, N) uint32, where each of :data:`MEMBERS` begins, counted from ``first``.
        length: (3, N) uint32, their bytes.
        suffix: (N,) uint8, the place of the video's ending in :data:`SUFFIXES`.
        keys: uint8, the names of the samples in UTF-8, one behind the other.
        key_length: (N,) their bytes.
    """

    problem: str
    first: np.ndarray
    at: np.ndarray
    length: np.ndarray
    suffix: np.ndarray
    keys: np.ndarray
    key_length: np.ndarray


class _Sample(NamedTuple):
    key: str
    places: dict[str, tuple[int, int]]  # member -> first byte, bytes
    suffix: int = 0


def check_suffixes(video: Sequence[str]) -> tuple[str, ...]:
    """Check endings that a config names; returns them.

    Raises:
        ValueError: They are no list of :data:`SUFFIXES`.
    """
    if isinstance(video, str) or not video or not {*video} <= {*SUFFIXES}:
        raise ValueError(f'video={video!r} must be a list, of {", ".join(SUFFIXES)}')
    return tuple(video)


def split_name(name: str) -> tuple[str, str] | None:
    """Split a member's name into its sample's key and its ending; None of a hidden file.

    >>> split_name('sub/00001001.Mp4'), split_name('a/b.seg.json'), split_name('._a.mp4')
    (('sub/00001001', 'mp4'), ('a/b', 'seg.json'), None)
    """
    found = _NAME.fullmatch(name)
    return (found[1], found[2].lower()) if found else None


def scan_shard(shard: Shard) -> ShardContents:
    """Read the headers of a shard.

    Consecutive members with the same key are a sample. A tar that was cut off gives the samples
    before the cut: a member that ends behind the file's end is not there.

    Raises:
        ValueError: A sample spans more than 4 GB.
    """
    samples: list[_Sample] = []
    problem = ''
    try:
        for key, member, suffix, first, last in _list_members(shard):
            # A member that is there already begins another sample of the same key.
            if not samples or samples[-1].key != key or member in samples[-1].places:
                samples.append(_Sample(key, {}))
            samples[-1].places[member] = (first, last - first)
            if member == 'video':
                samples[-1] = samples[-1]._replace(suffix=suffix)
    except tarfile.TarError as error:
        problem = brief(error)
    return _make_arrays(shard, samples, problem)


def _list_members(shard: Shard) -> Iterator[tuple[str, str, int, int, int]]:
    """Give the key, the kind, the place of the ending, the first and the end byte of each member.

    A member of another kind is not given, but ends the sample before it if it has another key.
    """
    with open_shard(shard.url) as file, tarfile.open(fileobj=file, mode='r:') as tar:
        for header in tar:
            tar.members = []  # type: ignore[attr-defined]  # of a shard with a million members
            split = split_name(header.name) if header.isreg() else None
            end = header.offset_data + header.size
            if split is None or end > shard.size:
                continue
            key, suffix = split
            if suffix in SUFFIXES:
                yield key, 'video', SUFFIXES.index(suffix), header.offset_data, end
            elif suffix in MEMBERS:
                yield key, suffix, 0, header.offset_data, end


def _make_arrays(shard: Shard, samples: list[_Sample], problem: str) -> ShardContents:
    first = np.array([min(sample.places.values())[0] for sample in samples], np.int64)
    at = np.full((len(MEMBERS), len(samples)), ABSENT)
    length = np.zeros_like(at)
    for number, sample in enumerate(samples):
        for row, member in enumerate(MEMBERS):
            if member in sample.places:
                begin, size = sample.places[member]
                if begin + size - first[number] >= ABSENT:
                    raise ValueError(
                        f'{shard.url}#{sample.key} has {begin + size - first[number]:,} bytes, and '
                        'a sample of a shard may have 4 GB: cut the video'
                    )
                at[row, number], length[row, number] = begin - first[number], size
    suffix = np.array([sample.suffix for sample in samples], np.uint8)
    keys = [sample.key.encode(errors='surrogateescape') for sample in samples]
    key_length = np.array([len(key) for key in keys], np.int64)
    blob = np.frombuffer(b''.join(keys), np.uint8)
    return ShardContents(problem, first, at, length, suffix, blob, key_length)


def list_names(shard: Shard, count: int) -> list[str]:
    """List the first names of members in a shard, for messages."""
    names: list[str] = []
    try:
        with open_shard(shard.url) as file, tarfile.open(fileobj=file, mode='r:') as tar:
            for member in tar:
                names.append(member.name)
                if len(names) == count:
                    break
    except tarfile.TarError:
        pass
    return names


def open_shard(url: str) -> BinaryIO:
    """Open a local or a remote shard."""
    if not is_remote(url):
        return open(url, 'rb')
    system, path = open_filesystem(url)
    return system.open(path, 'rb')
