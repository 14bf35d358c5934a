"""Zip archives of weights: torch's format, and TorchScript."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, cast

import torch
from torch import Tensor

from mmstan.compat.closed.budget import Budget
from mmstan.compat.closed.names import Owner
from mmstan.compat.closed.tensors import Storage, StorageType, allocate
from mmstan.compat.closed.unpickler import ClosedUnpickler

_CHUNK = 2**24
_MOST_TENSORS, _MOST_LEVELS = 100_000, 100


def read_archive(file: Any, budget: Budget, device: str | None) -> Any:
    """Read ``data.pkl`` and the records that it refers to.

    A TorchScript archive holds its modules' states, and code, which is not looked at. It gives a
    dict of its tensors by the names of their owners.

    Raises:
        Exception: It is no such archive, is damaged, or declares more than it holds.
    """
    with zipfile.ZipFile(file) as archive:
        records = Records(archive, budget, device)
        content = ClosedUnpickler(records.open_pickle(), budget, records.load_storage).load()
    return dict(_name_tensors(content)) if isinstance(content, Owner) else content


class Records:
    """The records of an archive, which are all in one folder.

    Args:
        archive: An open archive.
        budget: What may be made of it.
        device: Where storages are moved, or None.

    Raises:
        ValueError: It has no pickle, or the numbers of another machine.
    """

    def __init__(self, archive: zipfile.ZipFile, budget: Budget, device: str | None) -> None:
        self.archive, self.budget, self.device = archive, budget, device
        self.infos: Mapping[str, zipfile.ZipInfo] = {i.filename: i for i in archive.infolist()}
        pickles = [name for name in self.infos if PurePosixPath(name).name == 'data.pkl']
        if len(pickles) != 1:
            shown = ', '.join(list(self.infos)[:3])
            raise ValueError(f'it is a zip archive, but not of weights ({shown})')
        self.pickle, self.folder = pickles[0], pickles[0].removesuffix('data.pkl')
        self.storages: dict[str, Storage] = {}
        order = self.infos.get(f'{self.folder}byteorder')
        if order is not None and self.read(order).numpy().tobytes() == b'big':
            raise ValueError('its numbers are in big-endian order')

    def open_pickle(self) -> io.BytesIO:
        """The pickle that says which tensors there are."""
        return io.BytesIO(self.read(self.infos[self.pickle]).numpy().tobytes())

    def load_storage(self, pid: Any) -> Storage:
        """The storage of a persistent id ``('storage', type, key, location, elements)``."""
        what, kind, key, location, elements = pid
        torch.device(location)  # raises for what is no place
        if what != 'storage' or not isinstance(kind, StorageType) or type(elements) is not int:
            raise pickle.UnpicklingError('it holds a storage of no type')
        name = f'{self.folder}data/{key}'
        if name not in self.infos:
            raise pickle.UnpicklingError(f'its record {name} is missing')
        size, declared = self.infos[name].file_size, elements * kind.dtype.itemsize
        if size != declared:
            raise pickle.UnpicklingError(
                f'its record {name} has {size:,} bytes, but is declared as {declared:,}: '
                f'{elements:,} numbers of {kind.dtype}'
            )
        if name not in self.storages:
            data = self.read(self.infos[name])
            self.storages[name] = Storage(data.to(self.device or 'cpu'), kind.dtype)
        return self.storages[name]._replace(dtype=kind.dtype)

    def read(self, info: zipfile.ZipInfo) -> Tensor:
        """The bytes of a record, whose checksum is compared: uint8 (bytes,)."""
        self.budget.spend(info.file_size, f'a record {info.filename}')
        data, done = allocate(info.file_size), 0
        target = memoryview(cast(Any, data.numpy()))
        with self.archive.open(info) as record:
            while chunk := record.read(_CHUNK):
                target[done : done + len(chunk)] = chunk
                done += len(chunk)
        if done != info.file_size:
            raise ValueError(f'its record {info.filename} is cut off')
        return data


def _name_tensors(owner: Owner) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a module and of those below it, by the names of their owners.

    Raises:
        UnpicklingError: Modules are nested too deeply, or in a circle.
    """
    waiting, count = [('', owner)], 0
    while waiting:
        prefix, current = waiting.pop()
        state = current.state if isinstance(current.state, dict) else {}
        for name, value in state.items():
            count += 1
            if count > _MOST_TENSORS or prefix.count('.') > _MOST_LEVELS:
                raise pickle.UnpicklingError('its modules are nested without end')
            if isinstance(value, Tensor):
                yield f'{prefix}{name}', value
            elif isinstance(value, Owner):
                waiting.append((f'{prefix}{name}.', value))
