"""A hook that logs how many clips a second all processes train on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmstan.registry import HOOKS

_WINDOW = 20  # iterations, as of the log's other averages


@HOOKS.register_module()
class ClipRate(Hook):
    """Logs ``clips_per_s``: clips of all processes by the mean time of the last iterations.

    :class:`EpochTrainLoop` registers this hook.
    """

    priority = 'NORMAL'  # behind IterTimerHook, which is registered before, and before the logger

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Note the rate of the last iterations."""
        times = runner.message_hub.log_scalars.get('train/time')
        samples = data_batch.get('inputs') if isinstance(data_batch, Mapping) else None
        # A list of clips, or a dict of stacked ones and token ids.
        clips = samples.get('imgs') if isinstance(samples, Mapping) else samples
        if times is None or clips is None:
            return
        seconds = float(times.mean(_WINDOW))
        if seconds > 0:
            rate = len(clips) * get_world_size() / seconds
            runner.message_hub.update_scalar('train/clips_per_s', rate)
