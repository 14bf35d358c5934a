"""NumPy's arrays, numbers and dtypes, from the arguments in a pickle."""

from __future__ import annotations

import math
import pickle
import re
from typing import Any, cast

import numpy as np

from mmstan.compat.closed.budget import Budget, Refused

_DTYPE = re.compile(r'[<>=|]?([?bBhHiIlLqQefd]|[biufc]\d\d?)')


def build_bytes(budget: Budget, data: Any = b'', encoding: str = 'latin1') -> bytes:
    """Build bytes for ``_codecs.encode`` and ``bytearray``; old pickles write bytes as text."""
    if not isinstance(data, (bytes, bytearray, str)) or encoding not in ('latin1', 'latin-1'):
        raise pickle.UnpicklingError(f'it makes bytes of a {type(data).__name__}')
    budget.spend(len(data), 'bytes')
    return data.encode('latin1') if isinstance(data, str) else bytes(data)


def build_dtype(budget: Budget, code: Any, *_: Any) -> np.dtype:
    """Build a ``numpy.dtype`` of numbers."""
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
        raise Refused(f'numpy.dtype({code!r})')
    return np.dtype(code, False, True)


def build_number(budget: Budget, dtype: Any, data: Any = b'') -> Any:
    """Build a NumPy number."""
    data = build_bytes(budget, data)
    if not isinstance(dtype, np.dtype) or dtype.itemsize != len(data):
        raise pickle.UnpicklingError(f'it holds a number of type {dtype} in {len(data)} bytes')
    return np.frombuffer(data, dtype)[0]


def build_array(budget: Budget, *_: Any) -> np.ndarray:
    """Build an empty NumPy array, which :func:`fill_array` fills."""
    budget.spend(0, 'an array')
    return np.empty(0)


def build_filled_array(budget: Budget, data: Any, dtype: Any, shape: Any, order: Any) -> Any:
    """Build an array of its bytes, as NumPy writes it in pickles of protocol 5."""
    array = build_array(budget)
    fill_array(array, 1, shape, dtype, order == 'F', build_bytes(budget, data))
    return array


def fill_array(
    array: np.ndarray, version: Any, shape: Any, dtype: Any, fortran: Any, data: Any
) -> None:
    """Fill an array with the state that a pickle gives it.

    Raises:
        UnpicklingError: The data are no plain numbers, or not of this shape.
    """
    data = data.encode('latin1') if isinstance(data, str) else data
    if not isinstance(dtype, np.dtype) or not isinstance(data, (bytes, bytearray)):
        raise pickle.UnpicklingError('it holds an array of objects')
    if math.prod(shape) * dtype.itemsize != len(data):
        raise pickle.UnpicklingError(f'it holds an array of shape {shape} in {len(data)} bytes')
    cast(Any, array).__setstate__((version, shape, dtype, fortran, data))
