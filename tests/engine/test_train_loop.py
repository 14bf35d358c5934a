"""When a signal may stop the loop. Whole runs are in tests/integration."""

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict

from mmstan.engine.train_loop import is_updated


def test_no_gradients_of_any_optimiser_may_wait() -> None:
    first, second = (
        OptimWrapper(torch.optim.SGD([torch.zeros(1)], lr=1.0), accumulative_counts=counts)
        for counts in (1, 2)
    )
    both = OptimWrapperDict(first=first, second=second)
    assert is_updated(both)
    first._inner_count = second._inner_count = 1  # as backward() counts
    assert is_updated(first) and not is_updated(second) and not is_updated(both)
    assert is_updated(object())  # of another engine
