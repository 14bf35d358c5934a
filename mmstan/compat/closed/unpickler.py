"""A pickle machine that builds tensors, plain values and logs, and runs no code of a file.

A pickle is a program that names functions and calls them. Here every name must be one of
:data:`~mmstan.compat.closed.names.KNOWN`; otherwise the file is refused.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

from mmstan.compat.closed.budget import Budget, Refused
from mmstan.compat.closed.names import KNOWN, Name, Owner, check_key, give_state, list_user_names
from mmstan.compat.closed.tensors import Storage

MOST_STEPS = 10_000_000
"""Limit of the operations in a pickle of weights. Each makes one small object at most."""


def load_no_storage(pid: Any) -> Storage:
    """Refuse persistent ids in a pickle that has no storages."""
    raise pickle.UnpicklingError('it holds tensors without their numbers')


_python: Any = pickle._Unpickler  # type: ignore[attr-defined]


class ClosedUnpickler(_python):
    """Python's unpickler with a closed list of names, and limits.

    It derives from the unpickler written in Python, with a dict as memo. The one in C allocates an
    array as long as the largest memo index in the file.

    Args:
        file: The file with the pickle.
        budget: Limit of the memory for its contents.
        load_storage: Function from a persistent id to its storage.
        names: Further names, of this format alone.
        most_steps: Limit of the operations.
    """

    dispatch = dict(_python.dispatch)

    def __init__(
        self,
        file: BinaryIO,
        budget: Budget,
        load_storage: Callable[[Any], Storage],
        names: dict[str, Name] | None = None,
        most_steps: int = MOST_STEPS,
    ) -> None:
        super().__init__(file, encoding='latin1')
        self.budget, self.load_storage, self.most_steps = budget, load_storage, most_steps
        self.names = dict(list_user_names()) | KNOWN | (names or {})

    def load(self) -> Any:
        """Run the program, as Python's unpickler does, with a limit on its steps.

        Raises:
            Refused: The pickle uses a name that is not on the list.
            Exception: Any error of its operations, if the file is damaged.
        """
        # The set-up of Python's `load`; only the loop below is another one, with a limit.
        self._unframer = pickle._Unframer(self._file_read, self._file_readline)  # type: ignore[attr-defined]
        self.read, self.readinto = self._unframer.read, self._unframer.readinto
        self.readline = self._unframer.readline
        self.metastack: list[Any] = []
        self.stack: list[Any] = []
        self.append, self.proto = self.stack.append, 0
        try:
            for _ in range(self.most_steps):
                code = self.read(1)
                if not code:
                    raise EOFError('it is cut off')
                self.dispatch[code[0]](self)
        except pickle._Stop as stop:  # type: ignore[attr-defined]
            return stop.value
        raise pickle.UnpicklingError(f'it has more than {self.most_steps:,} operations')

    def find_class(self, module: str, name: str) -> Any:
        """Look a name up in the list; nothing is imported."""
        known = self.names.get(f'{module}.{name}')
        if known is None and module.startswith('__torch__'):  # a class of a TorchScript archive
            return Name(f'{module}.{name}', lambda budget, *_: Owner(), Owner)
        if known is None:
            raise Refused(f'{module}.{name}')
        return known

    def persistent_load(self, pid: Any) -> Storage:
        """Load the storage of a persistent id."""
        return self.load_storage(pid)

    def load_reduce(self) -> None:
        """Call the name below the arguments."""
        arguments, known = self.stack.pop(), self.stack[-1]
        if not isinstance(known, Name):
            raise Refused(f'a call of a {type(known).__name__}')
        self.budget.spend(0, known.name)
        self.stack[-1] = known.build(self.budget, *arguments)

    dispatch[pickle.REDUCE[0]] = dispatch[pickle.NEWOBJ[0]] = load_reduce

    def load_build(self) -> None:
        """Give the object below the state."""
        state = self.stack.pop()
        give_state(self.stack[-1], state)

    dispatch[pickle.BUILD[0]] = load_build

    def _get_below(self, kind: type) -> Any:
        """Return the object that the operation fills, which must be of this kind."""
        if not isinstance(self.stack[-1], kind):
            raise pickle.UnpicklingError(f'it fills a {type(self.stack[-1]).__name__}')
        return self.stack[-1]

    def _pop_items(self) -> dict[Any, Any]:
        """Pop the keys and values above the mark."""
        items = self.pop_mark()
        if len(items) % 2:
            raise pickle.UnpicklingError('it holds a key without a value')
        return {check_key(key): value for key, value in zip(items[::2], items[1::2])}

    def load_dict(self) -> None:
        """Make a dict of the items above the mark."""
        items = self._pop_items()  # first, since it brings back the stack that is appended to
        self.append(items)

    dispatch[pickle.DICT[0]] = load_dict

    def load_setitem(self) -> None:
        """Put an item into the dict below it."""
        value, key = self.stack.pop(), self.stack.pop()
        self._get_below(dict)[check_key(key)] = value

    dispatch[pickle.SETITEM[0]] = load_setitem

    def load_setitems(self) -> None:
        """Put items into the dict below the mark."""
        items = self._pop_items()
        self._get_below(dict).update(items)

    dispatch[pickle.SETITEMS[0]] = load_setitems

    def load_append(self) -> None:
        """Append a value to the list below it."""
        value = self.stack.pop()
        self._get_below(list).append(value)

    dispatch[pickle.APPEND[0]] = load_append

    def load_appends(self) -> None:
        """Append values to the list below the mark."""
        items = self.pop_mark()
        self._get_below(list).extend(items)

    dispatch[pickle.APPENDS[0]] = load_appends

    def load_additems(self) -> None:
        """Add members to the set below the mark."""
        items = self.pop_mark()
        self._get_below(set).update(check_key(item) for item in items)

    dispatch[pickle.ADDITEMS[0]] = load_additems

    def load_frozenset(self) -> None:
        """Make a set of the values above the mark."""
        items = self.pop_mark()  # first, as above
        self.append(frozenset(check_key(item) for item in items))

    dispatch[pickle.FROZENSET[0]] = load_frozenset

    def load_bytearray8(self) -> None:
        """Read the bytes of an array (protocol 5), after their number is checked."""
        (size,) = struct.unpack('<Q', self.read(8))
        self.budget.spend(size, 'bytes')
        data = self.read(size)
        if len(data) < size:
            raise EOFError('it is cut off')
        self.append(bytearray(data))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8

    def refuse_operation(self) -> None:
        """Refuse operations for old instances, extensions and buffers, which weights never need."""
        raise Refused('an operation that weights do not need')

    for _code in (
        pickle.INST, pickle.OBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4,
        pickle.NEXT_BUFFER, pickle.READONLY_BUFFER,
    ):  # fmt: skip
        dispatch[_code[0]] = refuse_operation
