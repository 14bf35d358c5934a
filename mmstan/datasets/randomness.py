"""The random streams that transforms draw from: Python's, NumPy's and PyTorch's on the CPU."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def keep_rng() -> Iterator[None]:
    """Restore the three streams on the way out (tens of microseconds)."""
    state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(state[0])
        np.random.set_state(state[1])
        torch.set_rng_state(state[2])


@contextmanager
def seed_rng(*key: int) -> Iterator[None]:
    """Seed the three streams from ``key`` (integers, 0 or more); restore them on the way out."""
    words = np.random.SeedSequence(key).generate_state(8)  # uint32
    with keep_rng():
        random.seed(words[:2].tobytes())
        np.random.seed(words[2:6])
        # Not torch.manual_seed, which would reset the accelerator's stream, drop-out's, as well.
        torch.default_generator.manual_seed(int(words[6]) << 32 | int(words[7]))
        yield
