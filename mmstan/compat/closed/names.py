"""The names that a pickle may use, and a builder for each.

A pickle never gets the Python object behind a name. It gets a :class:`Name`, and calling the name
calls a function of this file.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch.serialization import get_safe_globals

from mmstan.compat.closed.arrays import (
    build_array,
    build_bytes,
    build_dtype,
    build_filled_array,
    build_number,
    fill_array,
)
from mmstan.compat.closed.budget import Budget, Refused
from mmstan.compat.closed.tensors import DTYPES, STORAGE_DTYPES, StorageType, rebuild_tensor

Build = Callable[..., Any]
_STATISTICS = ('min', 'max', 'current', 'mean')


class Name:
    """The object that a pickle gets for a name.

    Args:
        name: The full name.
        build: A function that gets the budget and the pickle's arguments when the pickle calls the
            name.
        cls: The class with this name, if it is one.
    """

    def __init__(self, name: str, build: Build, cls: type | None = None) -> None:
        self.name, self.build, self.cls = name, build, cls


class Owner:
    """An object of a class that a file defines itself (TorchScript): its state, no code."""

    def __init__(self) -> None:
        self.state: Any = None


def check_key(key: Any) -> Any:
    """Return ``key`` if it may be a key of a dict or a member of a set: its hash must be quick.

    Raises:
        UnpicklingError: The key is of another type.
    """
    parts = key if isinstance(key, tuple) else (key,)
    if all(x is None or isinstance(x, (str, bytes, int, float, np.generic)) for x in parts):
        return key
    raise pickle.UnpicklingError(f'it has a {type(key).__name__} as a key')


def build_dict(budget: Budget, items: Any = ()) -> dict[Any, Any]:
    """Build ``dict`` and ``Counter`` from a mapping or from pairs."""
    items = list(items.items() if isinstance(items, Mapping) else items)
    budget.spend(64 * len(items), 'a dict')
    return {check_key(key): value for key, value in items}


def build_ordered_dict(budget: Budget, items: Any = ()) -> OrderedDict[Any, Any]:
    """Build an ``OrderedDict``, the type of state dicts."""
    return OrderedDict(build_dict(budget, items))


def build_set(budget: Budget, items: Any = ()) -> set[Any]:
    """Build a ``set`` from a list."""
    budget.spend(64 * len(items), 'a set')
    return {check_key(item) for item in items}


def build_history(budget: Budget) -> HistoryBuffer:
    """Build an empty log of MMEngine, which :func:`give_state` fills."""
    return HistoryBuffer.__new__(HistoryBuffer)


def find_history_method(budget: Budget, owner: Any, name: Any) -> Callable[..., Any]:
    """Replace ``builtins.getattr``; it finds HistoryBuffer's four statistics only."""
    if isinstance(owner, Name) and owner.cls is HistoryBuffer and name in _STATISTICS:
        return getattr(HistoryBuffer, name)
    shown = owner.name if isinstance(owner, Name) else type(owner).__name__
    raise Refused(f'getattr({shown}, {name!r})')


def build_same(budget: Budget, value: Any, *_: Any) -> Any:
    """Return the first argument: a ``Parameter`` becomes its tensor, a typed list a list."""
    return value


def build_from_type(budget: Budget, function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """Build a tensor that was saved with attributes; the attributes are dropped."""
    if not isinstance(function, Name):
        raise pickle.UnpicklingError('it holds a tensor that nothing builds')
    return function.build(budget, *arguments)


def refuse_call(budget: Budget, *_: Any) -> Any:
    """Refuse to build a class; a file may name it, to say which class a tensor had."""
    raise Refused('torch.Tensor()')


def _list_known_names() -> dict[str, Any]:
    names: dict[str, Any] = {f'torch.{name}': dtype for name, dtype in DTYPES.items()}
    for kind, dtype in STORAGE_DTYPES.items():
        for module in ('torch', 'torch.storage', 'torch.cuda'):
            names[f'{module}.{kind}Storage'] = StorageType(DTYPES[dtype])
    builders: dict[str, Build] = {
        'torch._utils._rebuild_tensor': rebuild_tensor,
        'torch._utils._rebuild_tensor_v2': rebuild_tensor,
        'torch._utils._rebuild_tensor_v3': rebuild_tensor,
        'torch._utils._rebuild_parameter': build_same,
        'torch._utils._rebuild_parameter_with_state': build_same,
        'torch._tensor._rebuild_from_type_v2': build_from_type,
        'torch.jit._pickle.restore_type_tag': build_same,
        'torch.Size': lambda budget, size: torch.Size(size),
        'torch.device': lambda budget, *where: torch.device(*where),
        'torch.Tensor': refuse_call,
        'torch.nn.parameter.Parameter': refuse_call,
        '_codecs.encode': build_bytes,
        'collections.defaultdict': lambda budget, *_: {},
        'collections.Counter': build_dict,
        'numpy.ndarray': build_array,
        'numpy.dtype': build_dtype,
    }
    for kind in ('int', 'double', 'bool', 'tensor'):
        builders[f'torch.jit._pickle.build_{kind}list'] = build_same
    for module in ('builtins', '__builtin__'):  # the second is Python 2's
        builders[f'{module}.set'] = build_set
        builders[f'{module}.frozenset'] = lambda *x: frozenset(build_set(*x))
        builders[f'{module}.dict'] = builders[f'{module}.list'] = build_same
        builders[f'{module}.bytearray'] = build_bytes
        builders[f'{module}.complex'] = lambda budget, *parts: complex(*parts)
        builders[f'{module}.getattr'] = find_history_method
    for core in ('numpy.core.multiarray', 'numpy._core.multiarray'):  # NumPy 1, NumPy 2
        builders[f'{core}._reconstruct'] = build_array
        builders[f'{core}.scalar'] = build_number
    for core in ('numpy.core.numeric', 'numpy._core.numeric'):
        builders[f'{core}._frombuffer'] = build_filled_array
    names |= {name: Name(name, build) for name, build in builders.items()}
    names['collections.OrderedDict'] = Name('OrderedDict', build_ordered_dict, OrderedDict)
    history = 'mmengine.logging.history_buffer.HistoryBuffer'
    names[history] = Name(history, build_history, HistoryBuffer)
    return names


KNOWN = _list_known_names()
"""The names that a pickle may use."""


def list_user_names() -> Iterator[tuple[str, Name]]:
    """Give the names that this process allowed with ``torch.serialization.add_safe_globals``."""
    for item in get_safe_globals():
        call, name = item if isinstance(item, tuple) else (item, None)
        name = name or f'{call.__module__}.{call.__qualname__}'
        cls = call if isinstance(call, type) else None
        yield name, Name(name, _wrap_user_call(call), cls)


def _wrap_user_call(call: Callable[..., Any]) -> Build:
    return lambda budget, *arguments: call(*arguments)


def give_state(target: Any, state: Any) -> None:
    """Give an object its state, as the operation ``BUILD`` of pickles does.

    Raises:
        UnpicklingError: The object takes no state, or not this one.
    """
    # Each kind of object accepts its own form of state only; no `__setstate__` of a file runs.
    fits = False
    if isinstance(target, Owner):
        target.state, fits = state, True
    elif isinstance(target, OrderedDict):  # a state dict has versions of its modules
        if isinstance(state, Mapping) and isinstance(state.get('_metadata'), Mapping):
            target._metadata = state['_metadata']  # type: ignore[attr-defined]
        fits = True
    elif isinstance(target, HistoryBuffer):
        fits = _fill_history(target, state)
    elif isinstance(target, np.dtype):
        fits = isinstance(state, tuple) and all(x is None for x in state[2:5])
        if fits:
            cast(Any, target).__setstate__(state)
    elif isinstance(target, np.ndarray):
        fits = isinstance(state, tuple) and len(state) == 5
        if fits:
            fill_array(target, *state)
    elif type(target) in get_safe_globals():
        target.__dict__.update(state)
        fits = True
    if not fits:
        raise pickle.UnpicklingError(f'it gives a {type(target).__name__} a state')


def _fill_history(target: HistoryBuffer, state: Any) -> bool:
    arrays = ('_log_history', '_count_history')
    if not isinstance(state, dict) or not all(
        isinstance(state.get(name), np.ndarray) for name in arrays
    ):
        return False
    target._set_default_statistics()
    target.max_length = int(state.get('max_length', 1000000))
    for name in arrays:
        setattr(target, name, state[name])
    return True
