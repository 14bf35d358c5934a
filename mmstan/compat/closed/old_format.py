"""A reader for torch's format before 1.6: several pickles, then the bytes of the storages."""

from __future__ import annotations

import io
import pickle
from typing import Any

import torch

from mmstan.compat.closed.budget import Budget
from mmstan.compat.closed.names import Name
from mmstan.compat.closed.tensors import Storage, StorageType, allocate
from mmstan.compat.closed.unpickler import ClosedUnpickler, load_no_storage

MAGIC = 0x1950A86A20F9469CFC6C
"""The first pickle of a file."""
_VERSION = 1001


def read_old_format(file: Any, budget: Budget, device: str | None = None) -> Any:
    """Read a file of this format; ``budget`` has its size.

    Raises:
        Exception: The file has another format, is damaged, or declares more than it holds.
    """
    storages: dict[str, Storage] = {}

    def load_storage(pid: Any) -> Storage:
        tag, kind, key, location, elements, view = pid
        torch.device(location)  # raises if it is not a device
        if tag != 'storage' or not isinstance(kind, StorageType) or view is not None:
            raise pickle.UnpicklingError('it holds a storage of no type')
        if key not in storages:
            size = elements * kind.dtype.itemsize
            budget.spend(size, 'a storage')
            storages[key] = Storage(allocate(size), kind.dtype)
        return storages[key]

    # Tensors come before the bytes of their storages: allocate first, then fill in file order.
    content = _read_pickles(file, budget, load_storage)
    keys = ClosedUnpickler(file, budget, load_no_storage).load()
    if not isinstance(keys, list) or set(keys) != set(storages):
        raise ValueError('its storages are not the ones that its tensors view')
    for key in keys:
        _fill(file, storages[key])
    if device is None:
        return content
    # Tensors are views of their storages, so they are made again from the moved storages.
    storages = {key: x._replace(data=x.data.to(device)) for key, x in storages.items()}
    file.seek(0)
    return _read_pickles(file, Budget(budget.size), load_storage)


def _read_pickles(file: Any, budget: Budget, load_storage: Any) -> Any:
    """Read the contents, which follow a magic number, a version and a description."""
    first = ClosedUnpickler(file, budget, load_no_storage).load()
    if first != MAGIC:
        raise ValueError(f'it is a pickle of a {type(first).__name__}, not written by torch.save')
    if (version := ClosedUnpickler(file, budget, load_no_storage).load()) != _VERSION:
        raise ValueError(f'it is of version {version!r}, not {_VERSION}')
    ClosedUnpickler(file, budget, load_no_storage).load()  # a description of the machine
    return ClosedUnpickler(file, budget, load_storage).load()


def _fill(file: Any, storage: Storage) -> None:
    """Read the number of elements and the bytes of a storage."""
    elements, size = int.from_bytes(file.read(8), 'little', signed=True), len(storage.data)
    data = file.read(size)
    if elements * storage.dtype.itemsize != size or len(data) != size:
        raise ValueError('it is cut off')
    storage.data.numpy()[:] = memoryview(data)


def _load_nested(budget: Budget, data: Any) -> Storage:
    if not isinstance(data, bytes):
        raise pickle.UnpicklingError('it holds a storage without bytes')
    budget.spend(len(data), 'a storage')
    storage = read_old_format(io.BytesIO(data), Budget(len(data)))
    if not isinstance(storage, Storage):
        raise pickle.UnpicklingError('it holds a storage that is none')
    return storage


load_nested = Name('torch.storage._load_from_bytes', _load_nested)
"""Reads a storage in a plain pickle, for which torch writes a file of its old format."""
