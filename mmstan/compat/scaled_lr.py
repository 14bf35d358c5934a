"""MMEngine's scaling of the learning rate with the batch size."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from mmengine._strategy import BaseStrategy
    from mmengine.runner import Runner


def count_accumulated_steps() -> bool:
    """MMEngine 0.10.7's ``auto_scale_lr`` leaves accumulated steps out of the batch (mmengine#894).

    It compares ``base_batch_size`` with the samples of one forward pass on all processes. An update
    sees ``accumulative_counts`` times as many (PR mmengine#1080, unreleased), and the configs'
    ``base_batch_size`` counts these.
    """
    from mmengine._strategy import BaseStrategy
    from mmengine.optim import OptimWrapperDict
    from mmengine.runner import Runner

    if hasattr(Runner.scale_lr, '__wrapped__'):
        return False
    scale, scale_in_strategy = Runner.scale_lr, BaseStrategy._scale_lr

    @functools.wraps(scale)
    def scale_lr(self: Runner, optim_wrapper: Any, auto_scale_lr: Any = None) -> None:
        several = isinstance(optim_wrapper, OptimWrapperDict)
        for wrapper in optim_wrapper.values() if several else [optim_wrapper]:
            scale(self, wrapper, _divide_base(auto_scale_lr, wrapper))

    @functools.wraps(scale_in_strategy)
    def _scale_lr(self: BaseStrategy) -> None:
        divided = _divide_base(self._auto_scale_lr, self.optim_wrapper)
        with mock.patch.object(self, '_auto_scale_lr', divided):
            scale_in_strategy(self)

    Runner.scale_lr = scale_lr
    BaseStrategy._scale_lr = _scale_lr
    return True


def _divide_base(auto_scale_lr: Mapping[str, Any] | None, wrapper: Any) -> Any:
    """Copy the setting for one of the steps; a dumped config keeps the global batch."""
    steps = getattr(wrapper, '_accumulative_counts', 1)
    if steps == 1 or not auto_scale_lr or 'base_batch_size' not in auto_scale_lr:
        return auto_scale_lr
    if auto_scale_lr.get('enable'):
        from mmengine.logging import print_log

        print_log(
            f'auto_scale_lr counts the {steps} accumulated steps of an update, so base_batch_size='
            f'{auto_scale_lr["base_batch_size"]} is shared by them; MMEngine 0.10.7 leaves the '
            f'steps out, and its rate is {steps} times smaller',
            'current',
        )
    return {**auto_scale_lr, 'base_batch_size': auto_scale_lr['base_batch_size'] / steps}
