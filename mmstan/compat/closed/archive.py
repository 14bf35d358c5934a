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

    A TorchScript archive holds the states of its modules, and code, which is not read. It gives a
    dict of its tensors by name.

    Raises:
        Exception: The file is no such archive, is damaged, or declares more than it holds.
    """
    with zipfile.ZipFile(file) as archive:
        records = Records(archive, budget, device)
        content = ClosedUnpickler(records.open_pickle(), budget, records.load_storage).load()
    return dict(_name_tensors(content)) if isinstance(content, Owner) else content


class Records:
    """The records of an archive, which are all in one folder.

    Args:
        archive: An open archive.
        budget: Limit of the memory for its contents.
        device: Device of the storages, the CPU if None.

    Raises:
        ValueError: The archive has no pickle, or big-endian numbers.
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
        """Open the pickle, which describes the tensors."""
        return io.BytesIO(self.read(self.infos[self.pickle]).numpy().tobytes())

    def load_storage(self, pid: Any) -> Storage:
        """Load the storage of a persistent id ``('storage', type, key, location, elements)``."""
        tag, kind, key, location, elements = pid
        torch.device(location)  # raises if it is not a device
        if tag != 'storage' or not isinstance(kind, StorageType) or type(elements) is not int:
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
        """Read the bytes of a record, uint8 (bytes,); the archive compares their checksum."""
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
    """Give the tensors of a module and of the modules inside it, by their full names.

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
