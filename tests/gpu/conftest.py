"""Float32 is float32 on a GPU too, so that it can be compared with the CPU's."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def without_tf32() -> Iterator[None]:
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    yield
    for backend, allowed in zip(backends, before):
        backend.allow_tf32 = allowed
