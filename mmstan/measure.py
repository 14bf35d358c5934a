"""Counting and timing: parameters, multiply-adds, memory, shares of the machine's rate."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

_LINEAR_AND_CONV = ('mm', 'addmm', 'convolution')


@dataclass(frozen=True)
class MultiplyAdds:
    """Multiply-adds of a computation, by the two conventions in use.

    Attributes:
        linear: Of linear and convolution layers only, the convention of the STAN papers.
        attention: Of attention's two matrix products.
    """

    linear: int
    attention: int

    @property
    def total(self) -> int:
        """Both, as most papers count."""
        return self.linear + self.attention

    def __add__(self, other: MultiplyAdds) -> MultiplyAdds:
        return MultiplyAdds(self.linear + other.linear, self.attention + other.attention)


def count_multiply_adds(function: Callable[..., Any], *args: Any) -> MultiplyAdds:
    """Multiply-adds of ``function(*args)``; nothing is computed where all tensors are meta."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one opaque operator, which is not counted
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            function(*args)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    linear = attention = 0
    for operator, flops in counter.get_flop_counts().get('Global', {}).items():
        if getattr(operator, '__name__', str(operator)).split('.')[0] in _LINEAR_AND_CONV:
            linear += flops // 2
        else:
            attention += flops // 2
    return MultiplyAdds(linear, attention)


def count_parameters(*modules: nn.Module) -> tuple[int, int]:
    """Number of parameters: all of them, and the trainable ones."""
    parameters = {id(p): p for module in modules for p in module.parameters()}.values()
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    return sum(p.numel() for p in parameters), trainable


def matrix_product_rate(*, repeats: int = 8) -> float:
    """Multiply-adds a second of (1576, 768) x (768, 3072) products, a ViT-B's largest."""
    a, b = torch.randn(1576, 768), torch.randn(768, 3072)
    start = time.perf_counter()
    for _ in range(repeats):
        a @ b
    return repeats * a.numel() * b.shape[1] / (time.perf_counter() - start)


def seconds(function: Callable[[], Any]) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def peak_memory(function: Callable[[], Any]) -> int:
    """Bytes by which the process grows at most while ``function`` runs (Linux, on the CPU)."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # hand back what earlier calls have freed
    Path('/proc/self/clear_refs').write_text('5')  # forget the peak so far
    start = _status('VmRSS')
    function()
    return _status('VmHWM') - start


def _status(key: str) -> int:
    line = next(x for x in Path('/proc/self/status').read_text().splitlines() if x.startswith(key))
    return int(line.split()[1]) * 1024
