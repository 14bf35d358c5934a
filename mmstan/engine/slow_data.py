"""A warning where training waits for its data."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmstan.registry import HOOKS


@HOOKS.register_module()
class SlowData(Hook):
    """Warns once when the loader takes too large a share of the iterations.

    Compares the sums of ``data_time`` and ``time``, which MMEngine's ``IterTimerHook`` notes, over
    ``window`` iterations. The first iterations of an epoch do not count, while workers start.

    Args:
        share: The share of an iteration that may pass while it waits for data.
        window: Iterations that are added up.
        start: Iterations of an epoch that do not count.
    """

    priority = 'LOW'  # after IterTimerHook

    def __init__(self, *, share: float = 0.3, window: int = 200, start: int = 10) -> None:
        self.share, self.window, self.start = share, window, start
        self._forget()
        self._warned = False

    def _forget(self) -> None:
        self._count, self._waited, self._total = 0, 0.0, 0.0

    def before_train_epoch(self, runner: Runner) -> None:
        """Begin to count again."""
        self._forget()

    def after_train_iter(self, runner: Runner, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        """Add an iteration; judge them when there are enough."""
        if self._warned or batch_idx < self.start:
            return
        scalars = runner.message_hub.log_scalars
        self._waited += scalars['train/data_time'].current()
        self._total += scalars['train/time'].current()
        self._count += 1
        if self._count < self.window:
            return
        waited = self._waited / self._total
        if waited > self.share:
            self._warned = True
            runner.logger.warning(
                f'{waited:.0%} of the last {self.window} iterations passed while they waited for '
                'data: python tools/benchmark.py --data CONFIG says which transforms take it; '
                'more num_workers, or videos from tools/prepare_videos.py, help'
            )
        self._forget()
