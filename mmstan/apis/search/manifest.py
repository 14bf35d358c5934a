"""The manifest of an index folder: the only file that says which other files count."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from mmstan.apis.search.kinds import AGAIN, KINDS
from mmstan.text_files import TextFile

FORMAT = 1
NAME = 'manifest.json'
_LONGEST = 1 << 20  # bytes of a manifest; ours have about a thousand
_STORES = dict(float16=2, float32=4)  # bytes of a number


@dataclass(frozen=True)
class Manifest:
    """The facts about an index.

    Attributes:
        identity: Identity of the model that encoded the videos.
        dtype: In which it ran, such as ``'bfloat16'``; '' of an index from before this was kept.
        interaction: Class of the model's interaction.
        pooled: Whether a video is one feature, as cosine models compare it.
        dim: D, width of the joint space.
        frames: T, features of a video.
        store: Type of the stored features.
        kind: How the frames are searched, see :mod:`mmstan.apis.search.kinds`.
        auto: Whether the kind follows the number of frames.
        segments: Length of a segment and distance of starts, in seconds; None for whole videos.
        sources: Folders, patterns, lists and files that were given.
        rows: Encoded videos, removed ones included.
        indexed: How many of the rows the index of the frames holds; the others wait for the end of
            a build that was stopped.
        generation: Numbers in the names of the files of names, features and index.
        checks: Bytes and SHA-256 of the files of names and index.
        recall: Measured recall of an index that is not exact, in per cent.
        format: Version of the folder's format.
    """

    identity: str
    interaction: str
    pooled: bool
    dim: int
    frames: int
    store: str
    kind: str
    auto: bool
    dtype: str = ''
    segments: tuple[float, float] | None = None
    sources: list[str] = field(default_factory=list)
    rows: int = 0
    indexed: int = 0
    generation: dict[str, int] = field(default_factory=lambda: dict(names=0, frames=0, index=0))
    checks: dict[str, list[Any]] = field(default_factory=dict)
    recall: dict[str, float] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def stride(self) -> int:
        """Distance of two videos' ids in the index of the frames: 64, or more for longer ones."""
        return max(64, self.frames)

    @property
    def row_bytes(self) -> int:
        """Bytes of a video's features."""
        return self.frames * self.dim * _STORES[self.store]

    def file(self, folder: Path, part: str) -> Path:
        """Path of the file of ``'names'``, ``'frames'`` or ``'index'``."""
        suffix = dict(names='jsonl', frames=f'f{8 * _STORES[self.store]}', index='faiss')[part]
        return folder / f'{part}-{self.generation[part]}.{suffix}'

    def next_file(self, part: str) -> Manifest:
        """A manifest with the next file for a part."""
        numbers = dict(self.generation, **{part: self.generation[part] + 1})
        return replace(self, generation=numbers)

    def check(self, part: str, path: Path) -> Manifest:
        """A manifest with size and SHA-256 of a part's file."""
        size = path.stat().st_size
        return replace(self, checks=dict(self.checks, **{part: [size, hash_file(path, size)]}))

    def verify(self, part: str, path: Path) -> int:
        """Raise ValueError unless a file is as it was written; gives its number of bytes.

        Bytes behind it are of a process that was stopped, and do not count.
        """
        size, digest = self.checks[part]
        there = path.stat().st_size if path.is_file() else -1
        if there < size:
            raise ValueError(f'{path}: has {max(there, 0)} bytes of {size}; {AGAIN}')
        if hash_file(path, size) != digest:
            raise ValueError(f'{path}: is damaged (its SHA-256 is another); {AGAIN}')
        return size

    def check_model(self, folder: Path, model: Any) -> None:
        """Warn of a model that runs in another precision than the one that encoded the videos.

        Raises:
            ValueError: It is another model.
        """
        if model.identity != self.identity:
            raise ValueError(
                f'{folder} was built with the model {self.identity}, and this model is '
                f'{model.identity}; open it with its own model, or build another index'
            )
        self.warn_of_dtype(folder, name_dtype(model))

    def warn_of_dtype(self, folder: Path, dtype: str) -> None:
        """Warn of a model that runs in another precision than the one that encoded the videos."""
        if self.dtype not in ('', dtype):
            print_log(
                f'{folder} was built in {self.dtype}, and this model runs in {dtype}: scores '
                f'differ in the last digits; load it with dtype=torch.{self.dtype}',
                'current',
                logging.WARNING,
            )

    def write(self, folder: Path) -> None:
        """Write the manifest under another name, then rename it: never half of one."""
        temporary = folder / f'{NAME}.tmp'
        with open(temporary, 'w', encoding='utf-8') as file:
            json.dump(asdict(self), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder / NAME)


def name_dtype(model: Any) -> str:
    """Name the precision in which a model runs, such as ``'bfloat16'``."""
    return str(model.dtype).removeprefix('torch.')


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest of a folder.

    Raises:
        FileNotFoundError: The folder holds no index.
        ValueError: The manifest is damaged, or of another format.
    """
    path = folder / NAME
    if not path.is_file():
        raise FileNotFoundError(f'{folder} holds no index ({NAME} is missing); build one there')
    file = TextFile('', str(path))
    if path.stat().st_size > _LONGEST:
        raise file.error(f'it has {path.stat().st_size} bytes; a manifest has {_LONGEST} at most')
    data = file.read_json()
    if not isinstance(data, Mapping):
        raise file.error('it must hold an object; is it the manifest of an index?')
    if data.get('format') != FORMAT:
        raise file.error(
            f'its format is {data.get("format")!r}, and this version reads {FORMAT}; build the '
            'index again'
        )
    data = {'dtype': '', **data}
    if problem := _find_fault(data):
        raise file.error(f'{problem}; {AGAIN}')
    if data['segments'] is not None:
        data = dict(data, segments=tuple(data['segments']))
    return Manifest(**data)


def _find_fault(data: Mapping[str, Any]) -> str:
    """The first value of a manifest that is not of its kind; '' if all are."""
    known = {f.name for f in fields(Manifest)}
    if known != set(data):
        return f'the keys {sorted(known ^ set(data))[:4]} are missing or unknown'
    counts = dict(rows=(0, 2**40), indexed=(0, data['rows']), dim=(1, 2**16), frames=(1, 2**16))
    for key, (least, most) in counts.items():
        if not _is_count(data[key]) or not least <= data[key] <= most:
            return f'{key}={data[key]!r:.80} must be a whole number from {least} to {most}'
    for key, kind in dict(identity=str, interaction=str, dtype=str, pooled=bool, auto=bool).items():
        if not isinstance(data[key], kind):
            return f'{key}={data[key]!r:.80} must be a {kind.__name__}'
    for key, choices in dict(store=tuple(_STORES), kind=KINDS[1:]).items():
        if data[key] not in choices:
            return f'{key}={data[key]!r:.80} must be one of {", ".join(choices)}'
    return _find_nested_fault(data)


def _find_nested_fault(data: Mapping[str, Any]) -> str:
    numbers, checks, segments = data['generation'], data['checks'], data['segments']
    parts = {'names', 'frames', 'index'}
    if not _has_keys(numbers, parts, _is_count):
        return f'generation={numbers!r:.80} must number the files of {", ".join(sorted(parts))}'
    wanted = {'names'} if data['kind'] == 'brute' or not data['indexed'] else {'names', 'index'}
    if not _has_keys(checks, wanted, _is_check):
        return f'checks={checks!r:.80} must be bytes and SHA-256 of {", ".join(sorted(wanted))}'
    if segments is not None and not _are(segments, (int, float), 2):
        return f'segments={segments!r:.80} must be two numbers of seconds, or null'
    if not _are(data['sources'], str):
        return 'sources must be a list of paths'
    recall = data['recall']
    if not isinstance(recall, dict) or not _are(list(recall.values()), (int, float)):
        return f'recall={recall!r:.80} must hold percentages'
    return ''


def _are(values: Any, kind: Any, count: int | None = None) -> bool:
    """Whether this is a list of ``count`` values of a kind."""
    right = isinstance(values, list) and count in (None, len(values))
    return right and all(isinstance(x, kind) and not isinstance(x, bool) for x in values)


def _has_keys(values: Any, keys: set[str], is_right: Callable[[Any], bool]) -> bool:
    """Whether this is an object with these keys and right values."""
    return isinstance(values, dict) and set(values) == keys and all(map(is_right, values.values()))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_check(value: Any) -> bool:
    pair = isinstance(value, list) and len(value) == 2
    return pair and _is_count(value[0]) and isinstance(value[1], str)


def hash_file(path: Path, size: int) -> str:
    """SHA-256 of the first ``size`` bytes of a file."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while size > 0 and (block := file.read(min(size, 1 << 20))):
            digest.update(block)
            size -= len(block)
    return digest.hexdigest()
