"""Shards of a stream that give nothing: counted, named, and too many of them end the stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, BinaryIO

import torch

from mmstan.datasets.readers.base import brief, say_once

MOST_FAULTS = 20  # one behind the other, until a stream gives up


class StreamFaults:
    """Counts and names the shards without a sample, and ends a stream of nothing else.

    Args:
        counts: Unreadable shards of each worker, int64, in memory that the workers share.
        worker: The number of the worker.
    """

    def __init__(self, counts: torch.Tensor, worker: int) -> None:
        self.counts, self.place = counts, worker % len(counts)
        self.url, self.failed = '', False
        self.members: set[str] = set()
        self.message = ''
        self.reset()

    def begin(self, url: str) -> None:
        """Begin a shard."""
        self.url, self.failed = url, False

    def reset(self) -> None:
        """Count from 0, since a sample can be used."""
        self.unreadable = self.useless = 0
        self.members.clear()

    def note(self, error: Exception) -> bool:
        """Note an error of the current shard; True, which tells webdataset to go on.

        Raises:
            RuntimeError: It is one of too many in a row.
        """
        if self.message:  # webdataset asks again, about the error of the first time
            raise RuntimeError(self.message)
        self.failed = True
        self.counts[self.place] += 1
        self.unreadable += 1
        kind = type(error).__name__
        if self.unreadable > MOST_FAULTS:
            self.message = (
                f'{self.unreadable} shards in a row cannot be read, the last is {self.url} '
                f'({kind}: {brief(error)})'
            )
            raise RuntimeError(self.message)
        say_once(f'stream {kind}', self.url, f'cannot be read to the end ({kind})')
        return True

    def note_members(self, names: Iterable[str]) -> None:
        """Note the members of a sample that cannot be used, for the message."""
        self.members |= {f'KEY.{name}' for name in names if not name.startswith('__')}

    def end(self, wanted: str) -> None:
        """End a shard, of which all was read that can be.

        Args:
            wanted: The arguments that say which samples can be used.

        Raises:
            ValueError: It is one of too many in a row without a sample.
        """
        self.useless += 1
        if self.useless > MOST_FAULTS:
            there = ', '.join(sorted(self.members)[:10]) or 'no KEY.ENDING at all'
            raise ValueError(
                f'urls: {self.useless} shards in a row, the last is {self.url}, have no sample '
                f"with {wanted}; their members are {there}: set caption='json:FIELD' of their "
                'json, or video='
            )


def end_stream(stream: Any, data: BinaryIO) -> None:
    """Close a stream whose tar was read to its end.

    Args:
        stream: As webdataset opens it.
        data: The file or pipe in it.

    Raises:
        OSError: It is a command that failed. One that was closed before it had written all fails,
            too, which says nothing.
    """
    unread = data.read(1)
    try:
        stream.close()
    except OSError:
        if not unread:
            raise
