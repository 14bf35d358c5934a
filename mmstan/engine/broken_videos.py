"""Broken videos: counted, named, and too many of them stop the run."""

from typing import Any

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmstan.registry import HOOKS

_KEY = 'broken_videos'  # in the message hub, which checkpoints carry


@HOOKS.register_module()
class BrokenVideos(Hook):
    """Counts the videos that :class:`~mmstan.datasets.ReliableSamples` had to replace.

    Each file is named in the log once, with the reason; each epoch ends with a count over all
    ranks. When more than ``max_share`` of the data set and more than ``max_count`` files failed in
    an epoch, ``RuntimeError`` lists them. Ranks are compared every ``interval`` iterations.
    """

    priority = 'LOW'  # before CheckpointHook, so that checkpoints carry the counts

    def __init__(self, *, max_share: float = 0.01, max_count: int = 10, interval: int = 50) -> None:
        self.max_share = max_share
        self.max_count = max_count
        self.interval = interval
        self._new: dict[str, str] = {}  # file -> reason, since the ranks were compared
        self._epoch: dict[str, str] = {}
        self._named: list[str] = []

    def before_train(self, runner: Runner) -> None:
        """Take over the counts of the checkpoint, if one was resumed."""
        saved = runner.message_hub.runtime_info.get(_KEY, {})
        self._epoch = dict(saved.get('epoch', {}))
        self._named = list(saved.get('named', []))

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict[str, Any] | None = None
    ) -> None:
        """Note the failures behind this batch (the model may change its data samples)."""
        for sample in (data_batch or {}).get('data_samples', ()):
            self._new.update(dict(sample.metainfo.get('broken', ())))

    def after_train_iter(self, runner: Runner, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        """Compare the ranks every ``interval`` iterations."""
        if self.every_n_inner_iters(batch_idx, self.interval):
            self._compare(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Log the number of broken videos, and count from zero again."""
        self._compare(runner)
        if self._epoch:
            runner.logger.warning(
                f'epoch {runner.epoch + 1}: {len(self._epoch)} broken videos were replaced by '
                f'other samples'
            )
        self._epoch = {}
        self._save(runner)

    def _compare(self, runner: Runner) -> None:
        for failures in all_gather_object(self._new):
            self._epoch.update(failures)
        self._new = {}
        for name in sorted(self._epoch.keys() - set(self._named)):
            runner.logger.warning(f'broken video, replaced by another: {name}: {self._epoch[name]}')
            self._named.append(name)
        self._save(runner)
        self._check(len(runner.train_dataloader.dataset))

    def _save(self, runner: Runner) -> None:
        runner.message_hub.update_info(_KEY, dict(epoch=self._epoch, named=self._named))

    def _check(self, samples: int) -> None:
        count = len(self._epoch)
        if count <= self.max_count or count <= self.max_share * samples:
            return
        listed = '\n'.join(f'  {name}: {reason}' for name, reason in list(self._epoch.items())[:50])
        raise RuntimeError(
            f'{count} of {samples} videos are broken, more than {self.max_share:.0%} and more '
            f'than {self.max_count}; repair or remove them, or raise max_share of '
            f'mmstan.BrokenVideos. The log names all; the first:\n{listed}'
        )
