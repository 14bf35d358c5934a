"""One declarative name map a source: foreign state dicts -> ours, and back.

A map is a list of :class:`Entry`. ``{i}``, ``{j}`` in a name stand for numbers and mean the same
number on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Entry:
    """Names that mean the same tensor.

    Attributes:
        theirs: Name in the foreign file; several where ours is theirs stacked along dimension 0.
        ours: Name in mmstan.
        op: ``'transpose'`` where one is the other transposed.
    """

    theirs: str | tuple[str, ...]
    ours: str
    op: Literal['same', 'transpose'] = 'same'

    @property
    def sources(self) -> tuple[str, ...]:
        """The foreign names, always a tuple."""
        return (self.theirs,) if isinstance(self.theirs, str) else self.theirs


def to_ours(state: Mapping[str, Tensor], entries: Iterable[Entry]) -> dict[str, Tensor]:
    """A foreign state dict under our names.

    Raises:
        ValueError: Names every tensor that the map does not know, or that lacks its partners.
    """
    out: dict[str, Tensor] = {}
    used: set[str] = set()
    for entry in entries:
        for numbers in _matches(entry.sources[0], state):
            sources = [name.format(**numbers) for name in entry.sources]
            if lacking := [name for name in sources if name not in state]:
                raise ValueError(f'{sources[0]} lacks its partners: {", ".join(lacking)}')
            used.update(sources)
            tensor = state[sources[0]]
            if len(sources) > 1:
                tensor = torch.cat([state[name] for name in sources])
            out[entry.ours.format(**numbers)] = _apply(entry.op, tensor)
    _refuse_rest(state, used)
    return out


def to_theirs(state: Mapping[str, Tensor], entries: Iterable[Entry]) -> dict[str, Tensor]:
    """Our state dict under the foreign names; the inverse of :func:`to_ours`.

    Raises:
        ValueError: Names every tensor that the map does not know.
    """
    out: dict[str, Tensor] = {}
    used: set[str] = set()
    for entry in entries:
        for numbers in _matches(entry.ours, state):
            name = entry.ours.format(**numbers)
            used.add(name)
            parts = _apply(entry.op, state[name]).chunk(len(entry.sources))
            for source, part in zip(entry.sources, parts):
                out[source.format(**numbers)] = part.clone() if len(parts) > 1 else part
    _refuse_rest(state, used)
    return out


def with_prefixes(entries: Iterable[Entry], *, theirs: str, ours: str) -> list[Entry]:
    """The same entries with a prefix on either side."""
    return [
        Entry(tuple(theirs + name for name in entry.sources), ours + entry.ours, entry.op)
        for entry in entries
    ]


def _matches(template: str, state: Mapping[str, Tensor]) -> list[dict[str, str]]:
    """The numbers for which ``template`` names a tensor of ``state``."""
    pattern = re.sub(r'\\{(\w)\\}', r'(?P<\1>\\d+)', re.escape(template))
    found = (re.fullmatch(pattern, name) for name in state)
    return [match.groupdict() for match in found if match]


def _apply(op: str, tensor: Tensor) -> Tensor:
    return tensor.T.contiguous() if op == 'transpose' else tensor


def _refuse_rest(state: Mapping[str, Tensor], used: set[str]) -> None:
    if rest := sorted(state.keys() - used):
        raise ValueError(f'{len(rest)} tensors left over: {_shorten(rest)}')


def _shorten(names: Sequence[str], most: int = 12) -> str:
    more = f', and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(names[:most]) + more
