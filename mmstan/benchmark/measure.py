"""Counting and timing: parameters, multiply-adds, memory, shares of the machine's rate."""

from __future__ import annotations

import ctypes
import gc
import itertools
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

_LINEAR_AND_CONV = ('mm', 'addmm', 'convolution', 'convolution_backward')


@dataclass(frozen=True)
class MultiplyAdds:
    """Multiply-adds of a computation, in two parts for the two conventions in use.

    Attributes:
        linear: Linear and convolution layers; the STAN papers count these only.
        attention: The two matrix products of attention.
    """

    linear: int
    attention: int

    @property
    def total(self) -> int:
        """Both parts; most papers count these."""
        return self.linear + self.attention

    def __add__(self, other: MultiplyAdds) -> MultiplyAdds:
        return MultiplyAdds(self.linear + other.linear, self.attention + other.attention)


def count_multiply_adds(
    function: Callable[..., Any], *args: Any, gradients: bool = False
) -> MultiplyAdds:
    """Count the multiply-adds of ``function(*args)``; with fake tensors nothing is computed.

    ``gradients`` allows a backward pass in ``function``, which is counted too.
    """
    # The counter misses fused operators, so they are switched off: attention's fast path, oneDNN's
    # LSTM.
    fast_path = torch.backends.mha.get_fastpath_enabled()
    one_dnn: Any = torch.backends.mkldnn.enabled  # a property that is typed as its descriptor
    torch.backends.mha.set_fastpath_enabled(False)
    torch.backends.mkldnn.enabled = cast(Any, False)
    try:
        with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(gradients):
            function(*args)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        torch.backends.mkldnn.enabled = one_dnn
    # A flop is half a multiply-add. What is neither linear nor a convolution is attention.
    linear = attention = 0
    for operator, flops in counter.get_flop_counts().get('Global', {}).items():
        if getattr(operator, '__name__', str(operator)).split('.')[0] in _LINEAR_AND_CONV:
            linear += flops // 2
        else:
            attention += flops // 2
    return MultiplyAdds(linear, attention)


def count_parameters(*modules: nn.Module) -> tuple[int, int]:
    """Numbers of parameters: all, and the trainable ones. A shared parameter counts once."""
    parameters = {id(p): p for module in modules for p in module.parameters()}.values()
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    return sum(p.numel() for p in parameters), trainable


def measure_matrix_products(
    *, repeats: int = 8, device: str = 'cpu', dtype: torch.dtype = torch.float32
) -> float:
    """Multiply-adds a second of (1576, 768) x (768, 3072) products, the largest of a ViT-B.

    On a GPU the product has 64 times as many rows; fewer would not keep it busy.
    """
    rows = 1576 if device == 'cpu' else 64 * 1576
    a = torch.randn(rows, 768, device=device, dtype=dtype)
    b = torch.randn(768, 3072, device=device, dtype=dtype)

    def products() -> None:
        for _ in range(repeats):
            a @ b

    if device != 'cpu':
        products()  # the first call chooses a kernel
    return repeats * a.numel() * b.shape[1] / measure_seconds(products, device=device)


def measure_seconds(function: Callable[[], Any], *, device: str = 'cpu') -> float:
    """Seconds of one call, by the wall clock, or on a GPU between two CUDA events."""
    return measure_laps(function, device=device)[0]


def measure_laps(*functions: Callable[[], Any], device: str = 'cpu') -> list[float]:
    """Seconds of one call of each function, in turn; clocks as in :func:`measure_seconds`."""
    if device == 'cpu':
        times = [time.perf_counter()]
        for function in functions:
            function()
            times.append(time.perf_counter())
        return [after - before for before, after in itertools.pairwise(times)]
    events = [torch.cuda.Event(enable_timing=True) for _ in range(len(functions) + 1)]
    events[0].record()
    for function, event in zip(functions, events[1:]):
        function()
        event.record()
    torch.cuda.synchronize()
    return [before.elapsed_time(after) / 1000 for before, after in itertools.pairwise(events)]


def measure_peak_memory(function: Callable[[], Any], *, device: str = 'cpu') -> int:
    """Peak memory of ``function`` in bytes, minus the memory in use before the call.

    On a CPU (Linux only) the memory of the process, on a GPU of PyTorch's allocator.
    """
    gc.collect()
    if device != 'cpu':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        return torch.cuda.max_memory_allocated() - before
    ctypes.CDLL(None).malloc_trim(0)  # hand back what earlier calls have freed
    Path('/proc/self/clear_refs').write_text('5')  # forget the peak so far
    start = _status('VmRSS')
    function()
    return _status('VmHWM') - start


def describe_machine(device: str = 'cpu') -> str:
    """Name of the GPU or processor, and PyTorch's version."""
    name = describe_processor() if device == 'cpu' else torch.cuda.get_device_name()
    return f'{name}, torch {torch.__version__}'


def describe_processor() -> str:
    """Name of the machine's processor."""
    path = Path('/proc/cpuinfo')
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(':')[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.machine()


def _status(key: str) -> int:
    # A line such as ``VmRSS:  1234 kB`` -> bytes.
    line = next(x for x in Path('/proc/self/status').read_text().splitlines() if x.startswith(key))
    return int(line.split()[1]) * 1024
