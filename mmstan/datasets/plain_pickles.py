"""A reader for pickles of plain containers, text and numbers, which runs no code of the file."""

from __future__ import annotations

import io
import pickle
import re
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from mmengine.fileio import get

from mmstan.text_files import TextFile
from mmstan.wording import write_on_one_line

_GROWTH = 32  # largest ratio of contents to file: a pickle may repeat an object many times
# Errors that the steps of a damaged pickle raise: stacks, memo, lengths, codes.
_DAMAGES = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
    struct.error,
)


def read_pickle(file: TextFile) -> Any:
    """Read dicts, lists, tuples, text and numbers from a pickle, also one of Python 2.

    NumPy's numbers become Python's, and every kind of dict a plain one. The reader allocates no
    more than the file's own bytes fill.

    Raises:
        ValueError: The pickle is damaged, or holds other objects, which could run code.
    """
    data = get(file.path)
    try:
        found = _PlainUnpickler(data).load()
        _check_size(found, 1000 + _GROWTH * len(data))
    except _DAMAGES as error:
        reason = write_on_one_line(error) or type(error).__name__
        raise file.error(
            f'it must be a pickle of plain dicts, lists, text and numbers: {reason}; give the file '
            'as it is distributed'
        ) from error
    return found


def _check_size(found: Any, limit: int) -> None:
    """Refuse contents of more than ``limit`` items and characters, counted where they repeat.

    A pickle can put the same list into a list many times; copied out, it would fill the memory.
    """
    waiting = [found]
    while waiting:
        item = waiting.pop()
        limit -= 1 + (len(item) if isinstance(item, (str, bytes)) else 0)
        if limit < 0:
            raise pickle.UnpicklingError(f'it shows over {_GROWTH} times the size of its file')
        if isinstance(item, Mapping):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, (list, tuple)):
            waiting += item


class _NumberType:
    """Replaces ``numpy.dtype``, because the state of a dtype can declare numbers of any size."""

    def __init__(self, code: str, *_: Any) -> None:
        if not re.fullmatch('[<>=|]?(b1|[iuf][1248])', code):
            raise pickle.UnpicklingError(f'it asks for numbers of type {code[:20]!r}')
        self.code = code

    def set_order(self, state: tuple[Any, ...]) -> None:
        """Take the byte order; refuse a state that is not a plain number's."""
        order = state[1]
        if order not in ('<', '>', '|', '=') or state != (3, order, None, None, None, -1, -1, 0):
            raise pickle.UnpicklingError('it asks for numbers of a type of its own')
        self.code = ('>' if order == '>' else '<') + self.code.lstrip('<>=|')


def _make_number(kind: _NumberType, data: bytes | str) -> int | float:
    """Replace NumPy's ``scalar``: the data must be the bytes of exactly one number."""
    data = data.encode('latin1') if isinstance(data, str) else data  # Python 2
    (number,) = np.frombuffer(data, np.dtype(kind.code)).tolist()
    return number


def _make_bytes(text: str, encoding: str) -> bytes:
    """Make bytes of the text that Python 3 writes for Python 2."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'it has bytes in {encoding[:20]!r}')
    return text.encode(encoding)


def _make_dict(pairs: Iterable[tuple[Any, Any]] = ()) -> dict[Any, Any]:
    return {_check_key(key): value for key, value in pairs}


def _make_default_dict(factory: Any = None) -> dict[Any, Any]:
    return {}


def _make_list() -> list[Any]:
    return []


def _check_key(key: Any) -> Any:
    """Return ``key`` if it is text or a number; hashing nested tuples could take forever."""
    if not isinstance(key, (str, bytes, int, float)):
        raise pickle.UnpicklingError(f'it has a {type(key).__name__} as a key')
    return key


_ALLOWED = {
    ('_codecs', 'encode'): _make_bytes,
    ('builtins', 'list'): _make_list,
    ('builtins', 'dict'): _make_dict,
    ('collections', 'OrderedDict'): _make_dict,
    ('collections', 'defaultdict'): _make_default_dict,
    ('numpy', 'dtype'): _NumberType,
    ('numpy.core.multiarray', 'scalar'): _make_number,  # before NumPy 2
    ('numpy._core.multiarray', 'scalar'): _make_number,
}


# The class written in Python; the one in C makes a table as long as the largest memo index.
_Unpickler: Any = vars(pickle)['_Unpickler']


class _PlainUnpickler(_Unpickler):  # type: ignore[misc]
    """Python's unpickler with a closed list of functions that a pickle may name and call."""

    dispatch: dict[int, Any] = dict(_Unpickler.dispatch)

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding='latin1')  # of Python 2's text
        self._left = len(data)  # items that calls may still take, or each could copy everything

    def find_class(self, module: str, name: str) -> Any:
        module = {'__builtin__': 'builtins'}.get(module, module)  # Python 2
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f'it asks for {module}.{name}')
        return _ALLOWED[module, name]

    def refuse(self) -> None:
        """Refuse a step that plain containers do not need."""
        raise pickle.UnpicklingError('it has a step that makes other objects')

    def reduce(self) -> None:
        """Call one of our functions."""
        self._left -= sum(len(part) for part in self.stack[-1] if isinstance(part, (list, tuple)))
        if self._left < 0:
            raise pickle.UnpicklingError('it copies more than its file has')
        super().load_reduce()

    def build(self) -> None:
        """Give a number type its byte order; nothing else has a state."""
        state, kind = self.stack.pop(), self.stack[-1]
        if not isinstance(kind, _NumberType):
            self.refuse()
        kind.set_order(state)

    def set_item(self) -> None:
        """Set one key of a dict."""
        _check_key(self.stack[-2])
        super().load_setitem()

    def set_items(self) -> None:
        """Set keys of a dict to the values after them."""
        for key in self.stack[::2]:
            _check_key(key)
        super().load_setitems()

    def make_dict(self) -> None:
        """Make a dict of keys and the values after them."""
        for key in self.stack[::2]:
            _check_key(key)
        super().load_dict()


_PlainUnpickler.dispatch |= {
    pickle.REDUCE[0]: _PlainUnpickler.reduce,
    pickle.BUILD[0]: _PlainUnpickler.build,
    pickle.SETITEM[0]: _PlainUnpickler.set_item,
    pickle.SETITEMS[0]: _PlainUnpickler.set_items,
    pickle.DICT[0]: _PlainUnpickler.make_dict,
}
_PlainUnpickler.dispatch |= dict.fromkeys(
    (
        step[0]
        for step in (
            pickle.BYTEARRAY8,  # would make as many bytes as it says
            *(pickle.NEXT_BUFFER, pickle.READONLY_BUFFER, pickle.PERSID, pickle.BINPERSID),
            *(pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX),
            *(pickle.EXT1, pickle.EXT2, pickle.EXT4),
            *(pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET),
        )
    ),
    _PlainUnpickler.refuse,
)
