import random
from pathlib import Path

import numpy as np
import torch
from helpers.devices import on_devices

from mmstan.engine import get_rng_state, set_rng_state


def draw() -> list[float]:
    return [random.random(), random.gauss(0, 1), np.random.randn(), torch.rand(()).item()]


def test_states_survive_a_safe_load(tmp_path: Path):
    draw()  # leaves a half-used pair of Gaussian numbers in Python's and NumPy's state
    torch.save(dict(rng=[get_rng_state()]), tmp_path / 'state.pth')
    expected = [draw() for _ in range(3)]
    random.seed(7)
    np.random.seed(7)
    torch.manual_seed(7)
    set_rng_state(torch.load(tmp_path / 'state.pth', weights_only=True)['rng'][0])
    assert [draw() for _ in range(3)] == expected


@on_devices
def test_stream_of_the_device(device: str):
    state = get_rng_state()
    expected = torch.rand(3, device=device)
    # As a checkpoint that was loaded with map_location='cuda'.
    moved = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in state.items()}
    set_rng_state(moved)
    assert torch.equal(torch.rand(3, device=device), expected)
