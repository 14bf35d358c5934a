"""One declarative name map for each source: foreign state dicts -> ours, and back.

A map is a list of :class:`Entry`. ``{i}`` and ``{j}`` in a name are placeholders of numbers, the
same number on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from mmengine.logging import print_log
from torch import Tensor

from mmstan.wording import count_things, name_a_few


class KeysDiffer(ValueError):
    """A state dict has other names than a map.

    Args:
        message: Counts and names the differences.
        alike: Share of all names that both have.
    """

    def __init__(self, message: str, alike: float) -> None:
        super().__init__(message)
        self.alike = alike


@dataclass(frozen=True)
class Entry:
    """Names that mean the same tensor.

    Attributes:
        theirs: Name in the foreign file; several names if our tensor is theirs stacked along
            dimension 0.
        ours: Name in mmstan.
        op: ``'transpose'`` if one tensor is the other transposed.
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
        KeysDiffer: Names every tensor that is missing, and every one that the map does not know.
    """
    entries = list(entries)
    _refuse_difference(state, [name for e in entries for name in e.sources])
    out: dict[str, Tensor] = {}
    for entry in entries:
        for numbers in _find_matches(entry.sources[0], state):
            parts = [state[name.format(**numbers)] for name in entry.sources]
            tensor = torch.cat(parts) if len(parts) > 1 else parts[0]
            out[entry.ours.format(**numbers)] = _apply(entry.op, tensor)
    return out


def to_theirs(state: Mapping[str, Tensor], entries: Iterable[Entry]) -> dict[str, Tensor]:
    """Our state dict under the foreign names; the inverse of :func:`to_ours`.

    Raises:
        ValueError: Names every tensor that is missing, and every one that the map does not know.
    """
    entries = list(entries)
    _refuse_difference(state, [e.ours for e in entries])
    out: dict[str, Tensor] = {}
    for entry in entries:
        for numbers in _find_matches(entry.ours, state):
            tensor = _apply(entry.op, state[entry.ours.format(**numbers)])
            several = len(entry.sources) > 1
            parts = tensor.chunk(len(entry.sources)) if several else (tensor,)  # or a scalar
            for source, part in zip(entry.sources, parts):
                out[source.format(**numbers)] = part.clone()
    return out


def add_prefixes(entries: Iterable[Entry], *, theirs: str, ours: str) -> list[Entry]:
    """The same entries with a prefix on either side."""
    return [
        Entry(tuple(theirs + name for name in entry.sources), ours + entry.ours, entry.op)
        for entry in entries
    ]


def drop_tensors(
    state: Mapping[str, Tensor], names: Collection[str], reason: str
) -> dict[str, Tensor]:
    """``state`` without ``names``; the log lists those that it has, with the reason."""
    found = [name for name in state if name in names]
    if found:
        count = count_things(len(found), 'tensor')
        print_log(f'{count} dropped, {reason}: {name_a_few(found, most=12)}', 'current')
    return {name: tensor for name, tensor in state.items() if name not in found}


def drop_scale(state: Mapping[str, Tensor], name: str = 'logit_scale') -> dict[str, Tensor]:
    """``state`` without the logarithm of a scale, which a ``TextHead`` takes as an argument."""
    if name in state:
        print_log(f'{name} is dropped: TextHead(logit_scale={state[name].exp():.4g})', 'current')
    return {other: tensor for other, tensor in state.items() if other != name}


def _find_matches(template: str, state: Mapping[str, Tensor]) -> list[dict[str, str]]:
    """The numbers for which ``template`` names a tensor of ``state``."""
    pattern = re.sub(r'\\{(\w)\\}', r'(?P<\1>\\d+)', re.escape(template))
    found = (re.fullmatch(pattern, name) for name in state)
    return [match.groupdict() for match in found if match]


def _apply(op: str, tensor: Tensor) -> Tensor:
    return tensor.T.contiguous() if op == 'transpose' else tensor


def _refuse_difference(state: Mapping[str, Tensor], templates: Sequence[str]) -> None:
    """Raise unless ``state`` has exactly the names that ``templates`` match.

    The numbers of layers are read from ``state``; a layer must have all of its tensors.
    """
    layers: dict[str, list[dict[str, str]]] = {}
    for template in templates:
        # Templates with the same beginning belong to the same layers.
        found = layers.setdefault(template.split('{')[0], [])
        found += [numbers for numbers in _find_matches(template, state) if numbers not in found]
    expected = {
        template.format(**numbers)
        for template in templates
        for numbers in (layers[template.split('{')[0]] if '{' in template else [{}])
    }
    differences = [
        f'{len(names)} tensors {what}: {name_a_few(sorted(names), most=12)}'
        for what, names in (
            ('missing', expected - state.keys()),
            ('left over', state.keys() - expected),
        )
        if names
    ]
    if differences:
        alike = len(expected & state.keys()) / len(expected | state.keys())
        raise KeysDiffer('; '.join(differences), alike)
