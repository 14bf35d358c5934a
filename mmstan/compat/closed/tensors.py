"""Storages and the tensors that view them, within a :class:`Budget`."""

from __future__ import annotations

import math
import pickle
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmstan.compat.closed.budget import Budget

DTYPES = {
    name: getattr(torch, name)
    for name in (
        'float16', 'bfloat16', 'float32', 'float64', 'complex32', 'complex64', 'complex128',
        'bool', 'uint8', 'int8', 'int16', 'int32', 'int64', 'uint16', 'uint32', 'uint64',
        'float8_e4m3fn', 'float8_e5m2', 'float8_e4m3fnuz', 'float8_e5m2fnuz',
    )
}  # fmt: skip
"""torch's types by name."""

STORAGE_DTYPES = dict(
    Half='float16', BFloat16='bfloat16', Float='float32', Double='float64', Byte='uint8',
    Char='int8', Short='int16', Int='int32', Long='int64', Bool='bool', ComplexFloat='complex64',
    ComplexDouble='complex128', Untyped='uint8',
)  # fmt: skip
"""torch's storage classes (``HalfStorage``, ...) -> the type of their numbers."""


class StorageType(NamedTuple):
    """A class of storages, which a file names to give the type of its numbers."""

    dtype: torch.dtype


class Storage(NamedTuple):
    """The numbers that tensors view."""

    data: Tensor
    """uint8, (bytes,)."""
    dtype: torch.dtype


def allocate(size: int) -> Tensor:
    """Allocate bytes for the contents of a storage, uint8 (size,)."""
    return torch.empty(size, dtype=torch.uint8)


def rebuild_tensor(
    budget: Budget, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any
) -> Tensor:
    """Build a tensor, a view of a storage.

    torch writes ``rest`` after these arguments: a flag for gradients, hooks, and a dtype if the
    storage has none.

    Raises:
        UnpicklingError: The view reaches beyond the storage, or is larger than the file (an
            expanded tensor has a stride of 0 and any size).
    """
    if not isinstance(storage, Storage):
        raise pickle.UnpicklingError('it holds a tensor without a storage')
    size, stride = tuple(size), tuple(stride)
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or not all(type(x) is int and 0 <= x < 2**60 for x in numbers):
        raise pickle.UnpicklingError(f'it holds a tensor of size {size} and stride {stride}')
    dtype = next((x for x in rest if isinstance(x, torch.dtype)), storage.dtype)
    elements = math.prod(size)
    budget.spend(elements * dtype.itemsize, f'a tensor of size {size}')
    # The last element has the last index in every dimension.
    last = offset + sum((length - 1) * step for length, step in zip(size, stride))
    if elements and (last + 1) * dtype.itemsize > len(storage.data):
        raise pickle.UnpicklingError(
            f'it holds a tensor of size {size} that reaches beyond its {len(storage.data)} bytes'
        )
    empty = torch.empty(0, dtype=dtype, device=storage.data.device)
    if not elements:
        return empty.new_empty(size)
    return empty.set_(storage.data.untyped_storage(), offset, size, stride)
