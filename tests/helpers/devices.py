"""The parameter ``device`` of tests for a GPU; the twin on the CPU shows that the test works."""

import pytest
import torch

DEVICES = [
    'cpu',
    pytest.param(
        'cuda',
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device'),
        ],
    ),
]
on_devices = pytest.mark.parametrize('device', DEVICES)
