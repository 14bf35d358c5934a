"""The memory that tensors hold during a computation, counted exactly and without a clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten


def measure_live_peak(function: Callable[[], Any]) -> int:
    """Bytes of the tensors that ``function`` makes, at the moment when most of them are alive.

    Tensors from before do not count, so parameters and inputs do not. Several views of one storage
    count once. Buffers inside of an operator, which allocators see, are left out; so the result is
    the same on every machine.

    Args:
        function: The computation, such as a training step.
    """
    with _LiveStorages() as live:
        function()
    return live.peak


class _LiveStorages(TorchDispatchMode):
    """Notes the storages that operators make, and the bytes of those that are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._made: dict[int, tuple[StorageWeakRef, int]] = {}
        self._bytes = 0  # of all in `_made`, some of which may be gone

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        # Views and results in place share the storage of an input: nothing is made.
        inputs = {storage._cdata for storage in _list_storages((args, kwargs))}
        for storage in _list_storages(result):
            if storage._cdata not in inputs:
                self._note(storage)
        if self._bytes > self.peak:
            self._forget_dead()
            self.peak = max(self.peak, self._bytes)
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        known = self._made.get(storage._cdata)
        if known is not None:  # of a storage that was freed at the same address
            self._bytes -= known[1]
        self._made[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self._bytes += storage.nbytes()

    def _forget_dead(self) -> None:
        self._made = {key: x for key, x in self._made.items() if not x[0].expired()}
        self._bytes = sum(size for _, size in self._made.values())


def _list_storages(tree: Any) -> list[torch.UntypedStorage]:
    return [x.untyped_storage() for x in tree_flatten(tree)[0] if isinstance(x, Tensor)]
